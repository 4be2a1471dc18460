"""Core and atomic: sizes beyond every page, column and parameter list; an id repeated after many commits."""

import asyncio
from typing import Final

from holdfast.errors import Conflict
from holdfast.store import ABSENT, Append, Check, Key, Put, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check

__all__ = ("SIZES",)

SIZES: Final = (70_000, 1_100_000)
"""Characters, more than a column of 64 KiB has, and more than a packet or a row of 1 MiB."""

MANY: Final = 1100
TOGETHER: Final = tuple(Key(f"together.{number % 3}", str(number)) for number in range(140))
"""More keys than are asked for at once by those who do it in parts of 50, 64, 100 or 128."""


@check(Level.CORE, promise="a big value is stored whole, or refused: never cut, never shown in part")
async def big_values(case: Case) -> None:
    """Put and append values of many characters, and read them in every way."""
    store = await case.store()
    for size in SIZES:
        case.history.clear()
        key, big = Key("big", str(size)), "x" * (size - 1) + "\u00e9"
        await store.commit([Put(key, {"big": big}), Append(f"big.{size}", big)])
        [record] = await store.get(key)
        [scanned] = await everything(store.scan("big", after=f"{size - 1}", limit=1))
        [event] = await everything(store.read(f"big.{size}"))
        found = [record and record.value["big"], scanned.value["big"], event.value]
        case.same(
            [one == big for one in found], [True] * 3, f"{size:,} characters (get, scan, read) are the same"
        )


@check(Level.CORE, promise="a commit of very many changes is refused whole where one of them is")
async def many_changes(case: Case) -> None:
    """Commit very many records and events of which the last expectation does not hold."""
    store = await case.store()
    await store.commit([Put(Key("many", "0"), "before")])
    head = store.head
    changes = [Put(Key("many", str(number)), number) for number in range(MANY)]
    with case.refused(Conflict, f"{MANY + 1} changes of which the last is a Check that does not hold"):
        await store.commit([Append("many", 1), *changes, Check(Key("z", "z"), "nobody")])
    case.history.clear()
    found = [record.value for record in await everything(store.scan("many"))]
    case.same((found, await store.last_number("many")), (["before"], 0), "records and events after it")
    case.same(store.head, head, "the head after it")


@check(Level.CORE, promise="a commit id is remembered however many commits come after it")
async def many_ids(case: Case) -> None:
    """Repeat the first of many commits."""
    store = await case.store()
    await store.commit([Put(Key("ids", "first"), 1, ABSENT), Append("ids", 0)], commit_id="the-first")
    count = case.much(200)
    for _ in range(4):
        await asyncio.gather(
            *(store.commit([Put(Key("ids", "other"), number)]) for number in range(count // 4))
        )
    case.history.clear()
    await store.commit([Put(Key("ids", "first"), 2), Append("ids", 1)], commit_id="the-first")
    case.same(
        await store.last_number("ids"), 1, f"events, after {count // 4 * 4} other commits and a repeated one"
    )
    case.tell(commits=count // 4 * 4)


@check(Level.ATOMIC, promise="a get of very many keys is one snapshot, too")
async def many_seen_whole(case: Case) -> None:
    """Commit many keys at once, again and again, while two tasks read all of them."""
    store = await case.store()
    await store.commit([Put(key, 0) for key in TOGETHER])
    writing = asyncio.ensure_future(_write(store, case.much(4)))
    answers = await asyncio.gather(*(_torn(store, writing) for _ in range(2)))
    await writing
    case.history.clear()
    case.same(
        [one for one in answers if one], [], f"gets of {len(TOGETHER)} keys that saw several commits at once"
    )


async def _write(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        await store.commit([Put(key, number) for key in TOGETHER])
        await asyncio.sleep(0)


async def _torn(store: Store, writing: "asyncio.Future[None]") -> str:
    """Return what a get has seen that cannot be, "" where none has while others write."""
    while True:
        over = writing.done()
        found = [
            (None, "") if one is None else (one.value, one.version) for one in await store.get(*TOGETHER)
        ]
        if len(set(found)) > 1:
            return f"the first was {found[0][0]}, the last {found[-1][0]}"
        if over:
            return ""
        await asyncio.sleep(0)
