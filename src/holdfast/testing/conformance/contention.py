"""Concurrent: expectations against concurrent writers, commit ids at once, cancelled commits: each rule by itself."""

import asyncio
from typing import Any, Final

from holdfast.errors import Conflict, StoreInUse, Unavailable
from holdfast.store import ABSENT, Append, Change, Check, Key, Put, Record, Store
from holdfast.testing.conformance.case import Case, everything, value
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.records import A, B, C

__all__ = ("increments",)

PATIENCE: Final = 500
"""How often others may come first, of whom each goes away after few commits."""


@check(
    Level.CONCURRENT,
    promise="of many commits at once that expect the same version, or absence, exactly one is done",
)
async def one_wins(case: Case) -> None:
    """Many tasks expect the same; losers raise Conflict and leave nothing."""
    store = await case.store()
    expected: Any = ABSENT
    turns = case.much(3)
    for turn in range(turns):
        tries = [store.commit([Put(A, [turn, i], expected), Append("won", i)]) for i in range(12)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        won = [result for result in results if isinstance(result, str)]
        refused = sum(isinstance(result, Conflict) for result in results)
        if len(won) != 1 or refused != 11:
            case.broken(f"{len(won)} of 12 were done, {refused} refused: {results}")
        expected = won[0]
    case.same(await store.last_number("won"), turns, "events of winners")
    case.tell(commits=turns * 12)


@check(
    Level.CONCURRENT,
    promise="a read-modify-write that expects what it read, and is repeated on Conflict, is never lost",
)
async def increments_add_up(case: Case) -> None:
    """Many tasks count up one record."""
    store = await case.store()
    each = case.much(2)
    await asyncio.gather(*(_increments(store, each) for _ in range(10)))
    case.same(await value(store, A), 10 * each, "a counter after 10 tasks")


@check(Level.CONCURRENT, promise="the same, by several processes", needs=("elsewhere", "shared"))
async def increments_of_processes(case: Case) -> None:
    """Several processes count up one record."""
    namespace = case.namespace()
    store = await case.store(namespace)
    each = case.much(8)
    arguments = {"address": case.address(namespace), "count": each}
    lives = await asyncio.gather(*(case.live(increments, arguments) for _ in range(3)))
    for life in lives:
        if life.ended != "returned":
            case.broken(f"a process {life.ended}: {life.error} {life.message}")
    [record] = await store.fresh(A)
    case.same(record and record.value, 3 * each, "a counter after 3 processes")


@check(
    Level.CONCURRENT, promise="a Check conflicts with concurrent writers of its key, not only with past ones"
)
async def checks_hold(case: Case) -> None:
    """Of two who each check what the other writes, at most one is done; however often they try."""
    store = await case.store()
    await store.commit([Put(A, 0), Put(B, 0)])
    for turn in range(case.much(8)):
        case.history.clear()
        a, b = await store.fresh(A, B)
        assert a is not None
        assert b is not None
        results = await asyncio.gather(
            store.commit([Put(A, turn), Check(B, b.version)]), store.commit([Put(B, turn), Check(A, a.version)]),
            return_exceptions=True,
        )  # fmt: skip
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, Conflict | Unavailable):
                raise result
        if sum(isinstance(result, str) for result in results) > 1:
            case.broken("both are done, each on the ground of what the other one has changed")


@check(Level.CONCURRENT, promise="what is acknowledged to one is what the next fresh read of anybody else finds",
       needs=("again", "shared"))  # fmt: skip
async def seen_by_others(case: Case) -> None:
    """Two store objects: one commits, the other reads past its caches, in turns."""
    namespace = case.namespace()
    stores = [await case.store(namespace), await case.store(namespace)]
    for turn in range(case.much(8)):
        writer, reader = stores if turn % 2 else stores[::-1]
        await reader.fresh(A, B)
        case.same(await reader.last_number("history"), turn, "the last number that it finds at first")
        version = await writer.commit([Put(A, turn), Append("history", turn)])
        case.same(
            await reader.fresh(A, B), [Record(A, turn, version), None], "what another store object finds"
        )
        case.same(await reader.last_number("history"), turn + 1, "the last number that it finds")


@check(
    Level.CONCURRENT,
    promise="of many tries at once under one commit id, one happens, and all are told that it did",
)
async def ids_at_once(case: Case) -> None:
    """Commit the same changes under one id at once, from every store object there may be."""
    stores = await case.stores()
    turns = case.much(3)
    for turn in range(turns):
        case.history.clear()
        key = Key("turn", str(turn))
        changes: list[Change] = [Put(key, turn, ABSENT), Append("history", turn)]
        tries = [stores[i % len(stores)].commit(changes, commit_id=f"id-{turn}") for i in range(8)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        case.same(results, [f"id-{turn}"] * 8, "the answers")
    case.same(await stores[0].last_number("history"), turns, "events, one for each id")


@check(Level.CONCURRENT, promise="a cancelled commit is done whole or not at all, and the store stays usable")
async def cancelled_commits(case: Case) -> None:
    """Cancel commits of two records and an event at every early instant."""
    store = await case.store()
    count = case.much(16)
    for number in range(count):
        changes: list[Change] = [Put(A, number), Put(B, number), Append("history", number)]
        task = asyncio.ensure_future(store.commit(changes))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await store.commit([Put(C, "usable")])
    a, b = await store.get(A, B)
    case.same(a and (a.value, a.version), b and (b.value, b.version), "two records that only change together")
    events = [event.value for event in await everything(store.read("history"))]
    case.same(events, sorted(set(events)), "the events, in order and once each")
    case.same(a and a.value, events[-1] if events else None, "the record and the newest event")
    case.tell(cancelled=count)


@check(Level.CONCURRENT, promise="where one process at a time may have it open, a second one is told so (StoreInUse)",
       needs=("elsewhere", "alone"))  # fmt: skip
async def one_at_a_time(case: Case) -> None:
    """Open it from another process, and again once it is closed."""
    namespace = case.namespace()
    store = await case.store(namespace)
    await store.commit([Put(A, 1)])
    arguments = {"address": case.address(namespace), "count": 1}
    life = await case.live(increments, arguments)
    if (life.ended, life.error) != ("raised", StoreInUse.__name__):
        case.broken(f"a second process {life.ended} {life.error} {life.message}")
    await store.close()
    life = await case.live(increments, arguments)
    if life.ended != "returned":
        case.broken(f"another process, once it was closed, {life.ended}: {life.error} {life.message}")
    await store.open()
    case.same(await value(store, A), 2, "the record after both")


async def increments(*, address: str, count: int) -> None:
    """Count up one record so many times: what a child does."""
    from holdfast.testing.own_adapter import store_of

    async with store_of(address) as store:
        await _increments(store, count)


async def _increments(store: Store, count: int) -> None:
    for _ in range(count):
        for _ in range(PATIENCE):
            [record] = await store.fresh(A)
            expected = ABSENT if record is None else record.version
            try:
                await store.commit([Put(A, (0 if record is None else record.value) + 1, expected)])
            except Conflict:
                await asyncio.sleep(0)
            else:
                break
        else:
            raise AssertionError(f"{PATIENCE} Conflicts in a row, of what was read just before")
