"""Core: records are put, read, expected and deleted, one commit after the other."""

from collections.abc import Sequence
from typing import Final

from holdfast.errors import Conflict, InvalidKey
from holdfast.store import (
    ABSENT,
    ANY,
    Append,
    Change,
    Check,
    Delete,
    Durability,
    Key,
    Names,
    Put,
    Record,
    Store,
)
from holdfast.testing.conformance.case import Case, everything, value
from holdfast.testing.conformance.checks import Level, check

__all__ = ("A", "B", "C", "commit_all")

A: Final = Key("signal.one", "BTCUSDT")
B: Final = Key("signal.one", "ETH/USDT:USDT")
C: Final = Key("risk", "Alltäglich ..")


@check(Level.CORE, promise="an empty store has nothing, and says so without an error")
async def empty(case: Case) -> None:
    """Read everything of an empty store."""
    store = await case.store()
    case.same(await store.get(A, B), [None, None], "records that were never written")
    case.same(await store.get(), [], "no keys")
    case.same(await everything(store.scan("signal.one")), [], "a scan")
    case.same(await everything(store.read("history")), [], "a stream")
    case.same(await store.last_number("history"), 0, "the last number of a stream")
    case.same(await store.names(), Names((), ()), "the names")


@check(
    Level.CORE,
    promise="get returns records in the order of the keys, with the id of the commit that wrote each",
)
async def put_and_get(case: Case) -> None:
    """Put, read, overwrite, read."""
    store = await case.store()
    version = await store.commit([Put(A, {"side": "long"}), Put(B, None)])
    first = [Record(B, None, version), Record(A, {"side": "long"}, version), None]
    case.same(await store.get(B, A, C), first, "what was put")
    case.same(await store.get(A, B, A), [first[1], first[0], first[1]], "a key that is asked for twice")
    again = await store.commit([Put(A, 2)], commit_id="of-my-own")
    case.same(again, "of-my-own", "the id of a commit that was named")
    case.same(await store.get(A), [Record(A, 2, again)], "what was put over it")
    if store.durability not in Durability:
        case.broken(f"durability is {store.durability!r}")


@check(Level.CORE, promise="a value that is given or returned belongs to who has it: nobody shares it")
async def own_values(case: Case) -> None:
    """Change what was given to the store, and what it returned."""
    store = await case.store()
    given = {"list": [1]}
    await store.commit([Put(A, given), Append("history", given)])
    given["list"].append(2)
    [record] = await store.get(A)
    if record is not None:
        record.value["list"].append(3)
    [event] = await everything(store.read("history"))
    event.value["list"].append(3)
    [event] = await everything(store.read("history"))
    for record in await everything(store.scan(A.entity_name)):
        record.value["list"].append(4)
    scanned = [record.value for record in await everything(store.scan(A.entity_name))]
    found = [await value(store, A), event.value, *scanned]
    case.same(found, [{"list": [1]}] * 3, "after callers changed theirs")


@check(
    Level.CORE,
    promise="a commit that is not as expected raises Conflict, which says why, and changes nothing",
)
async def expectations(case: Case) -> None:
    """Expect what is so and what is not, of Put, Delete and Check."""
    store = await case.store()
    first = await store.commit([Put(A, 1, ABSENT)])
    head = store.head
    for change in (
        Put(A, 2, ABSENT), Put(A, 2, "other"), Delete(A, "other"), Delete(A, ABSENT), Check(A, ABSENT),
        Check(A, "other"), Check(B, first), Put(B, 2, first), Delete(B, first),
    ):  # fmt: skip
        with case.refused(Conflict, f"{change} where A is at {first} and B is absent") as caught:
            await store.commit([Put(C, "never"), change, Append("history", "never")])
        expected = (change.key, change.expect, first if change.key == A else ABSENT)
        conflict = caught[0].facts
        case.same(
            (conflict.get("key"), conflict.get("expected"), conflict.get("found")), expected, "what it says"
        )
    case.same(await store.get(C), [None], "a key of refused commits")
    case.same(await store.last_number("history"), 0, "the stream of refused commits")
    case.same(store.head, head, "the head after refused commits")
    second = await store.commit([Put(A, 2, first), Check(B, ABSENT)])
    await store.commit([Delete(A, second), Delete(B, ABSENT), Put(C, 1, ANY)])
    case.same(await store.get(A), [None], "a key that was deleted as expected")
    await _expect_what_was(case, store, second)


async def _expect_what_was(case: Case, store: Store, version: str) -> None:
    """Expect of A, which was deleted, the last version that it had; then again once it is there anew."""
    for change in (Check(A, version), Put(A, 3, version), Delete(A, version)):
        with case.refused(Conflict, f"{change} where A was deleted at that version"):
            await store.commit([change])
    await store.commit([Check(A, ABSENT), Put(B, 1)])
    await store.commit([Put(A, 4, ABSENT)])
    with case.refused(Conflict, "a Check of the version that A had before it was deleted"):
        await store.commit([Check(A, version)])


@check(Level.CORE, promise="what is deleted is absent, like what never was; deleting it again is no error")
async def deleting(case: Case) -> None:
    """Delete what is there and what is not."""
    store = await case.store()
    version = await store.commit([Put(A, 1), Put(B, 2)])
    await _holds(case, store, [A, B], "before deleting")
    await store.commit([Delete(A), Delete(C)])
    case.same(await store.get(A, B, C), [None, Record(B, 2, version), None], "after deleting A")
    await _holds(case, store, [B], "after deleting A")
    await store.commit([Delete(B)])
    await _holds(case, store, [], "once nothing is left")
    await store.commit([Put(A, 3, ABSENT)])
    case.same(await value(store, A), 3, "what was put where something was deleted")
    await _holds(case, store, [A], "once A is there again")


async def _holds(case: Case, store: Store, keys: list[Key], when: str) -> None:
    """See whether the scan and the names are of these keys, all of one entity name."""
    found = [record.key for record in await everything(store.scan(A.entity_name))]
    case.same(found, keys, f"the scan {when}")
    entities = (A.entity_name,) if keys else ()
    case.same((await store.names()).entities, entities, f"the names {when}")


@check(Level.CORE, promise="a key stands once in a commit; InvalidKey otherwise, and nothing is changed")
async def one_key_once(case: Case) -> None:
    """Name a key twice."""
    store = await case.store()
    for second in (Put(A, 2), Delete(A), Check(A, ANY)):
        with case.refused(InvalidKey, f"{second} beside a Put of the same key"):
            await store.commit([Put(A, 1), second])
    case.same(await store.get(A), [None], "after refused commits")


@check(
    Level.CORE, promise="a commit id that was committed changes nothing and is returned, expectations or not"
)
async def repeated_ids(case: Case) -> None:
    """Repeat a commit whose expectation no longer holds, an empty one, and one that was refused and then is not."""
    store = await case.store()
    case.same(await store.last_number("history"), 0, "how many events there are at first")
    changes: list[Change] = [Put(A, 1, ABSENT), Append("history", 1)]
    case.same(await store.commit(changes, commit_id="the-id"), "the-id", "the first time")
    case.same(await store.last_number("history"), 1, "how many events there are then")
    head = store.head
    case.same(await store.commit(changes, commit_id="the-id"), "the-id", "the second time")
    case.same(await store.get(A), [Record(A, 1, "the-id")], "the record after the second time")
    await store.commit([Put(A, 2)])
    case.same(
        await store.commit(changes, commit_id="the-id"), "the-id", "the third time, after another commit"
    )
    case.same(await store.last_number("history"), 1, "how many events there are")
    case.same(await value(store, A), 2, "what a later commit wrote")
    case.same(store.head, head + 1, "the head, which counts commits")
    await _odd_ids(case, store)


async def _odd_ids(case: Case, store: Store) -> None:
    """Use the id of an empty commit again, and that of one which was refused: nothing was done under it yet."""
    await store.commit([], commit_id="empty")
    await store.commit([Put(B, 1)], commit_id="empty")
    case.same(await store.get(B), [None], "what came under the id of an empty commit that was done")
    with case.refused(Conflict, "a Check that does not hold"):
        await store.commit([Check(B, "other"), Put(C, 1)], commit_id="refused")
    await store.commit([Check(B, ABSENT), Put(C, 1)], commit_id="refused")
    case.same(await value(store, C), 1, "what came under the id of a commit that was refused")


@check(Level.CORE, promise="the head grows with every commit, and an empty commit is one")
async def head(case: Case) -> None:
    """Commit something and nothing."""
    store = await case.store()
    for changes in ([Put(A, 1)], [Append("history", 1)], [Delete(A)], []):
        before = store.head
        if not await store.commit(changes):
            case.broken(f"a commit of {len(changes)} changes has no id")
        if store.head <= before:
            case.broken(
                f"the head is {store.head} after a commit of {len(changes)} changes, and was {before}"
            )


async def commit_all(case: Case, store: Store, changes: Sequence[Change]) -> None:
    """Commit changes that are all good; where that raises, find one that raises by itself, for a short history."""
    try:
        await store.commit(changes)
    except Exception:
        for change in changes:
            case.history.clear()
            await store.commit([change])
        raise
