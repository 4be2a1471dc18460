"""Core: opening, closing, opening again; what is used while it is closed says so."""

from holdfast.errors import NotOpen
from holdfast.store import Append, Key, Put, Record
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.records import A, B

__all__ = ()


@check(
    Level.CORE, promise="a store that is not open raises NotOpen; opening or closing it twice does nothing"
)
async def not_open(case: Case) -> None:
    """Use it closed, and open it again."""
    store = await case.store()
    version = await store.commit([Put(A, 1)])
    await store.open()
    await store.close()
    await store.close()
    for use in (
        lambda: store.get(A), lambda: store.commit([Put(A, 1)]), store.names,
        lambda: store.last_number("s"), lambda: everything(store.scan("a")), lambda: everything(store.read("s")),
    ):  # fmt: skip
        with case.refused(NotOpen, "a closed store"):
            await use()
    await store.open()
    case.same(await store.get(A), [Record(A, 1, version)], "once it is open again")
    await store.commit([Put(A, 2)])


@check(Level.CORE, promise="what was stored is there for whoever opens the store next", needs=("again",))
async def found_again(case: Case) -> None:
    """Close, and open the same namespace by another object: records, streams, names, head, repeated ids."""
    namespace = case.namespace()
    store = await case.store(namespace)
    await store.commit(
        [Put(A, {"a": [1, 2.5, None]}), Put(B, None), Append("history", "é")], commit_id="first"
    )
    await store.commit([Put(B, 7), Append("history", 2)], commit_id="second")
    head, names = store.head, await store.names()
    await store.close()
    again = await case.store(namespace)
    expected = [Record(A, {"a": [1, 2.5, None]}, "first"), Record(B, 7, "second"), None]
    case.same(await again.get(A, B, Key("x", "y")), expected, "the records")
    events = [(e.number, e.value, e.version) for e in await everything(again.read("history"))]
    case.same(events, [(1, "é", "first"), (2, 2, "second")], "the stream")
    case.same(await again.names(), names, "the names")
    # It counts commits: a store that follows others may make some of its own as it opens.
    if again.head < head:
        case.broken(f"the head is {again.head} when it is opened again, and was {head}")
    case.same(
        await again.commit([Append("history", 3)], commit_id="first"), "first", "an id that was committed"
    )
    case.same(await again.last_number("history"), 2, "the stream after a repeated commit")
    await again.commit([Append("history", 3)])
    case.same(await again.last_number("history"), 3, "the stream after another one")
