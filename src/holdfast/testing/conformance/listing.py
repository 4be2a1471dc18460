"""Core: scans in bytewise order of ids, streams in order of their numbers, from anywhere, any number at a time."""

from typing import Final

from holdfast.store import Append, Delete, Event, Key, Put
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check

__all__ = ("IDS", "MANY")

MANY: Final = 1100
"""Events of one commit, more than the pages of 1,000 and 1,024 that are usual."""

FAR: Final = (9, 2**64, -(2**63) - 1)
"""Numbers that no event of a short stream has; no integer of 64 bits is two of them."""

IDS: Final = (
    "Z", "a", "é", "a/b", "\U0001f600", "key10", "key2", "~", "\uffee", "A", "_", "10", "9", "aa", "a a", "\u007f",
    "\ud7ff", "\ue000", "%", "ä", "a\u0308",
)  # fmt: skip
"""Ids that sort otherwise by UTF-16, by a locale, case-blind, or by number."""


@check(
    Level.CORE, promise="a scan yields the records of one entity name in bytewise order of their ids (UTF-8)"
)
async def scan_order(case: Case) -> None:
    """Scan ids that every other order sorts otherwise."""
    store = await case.store()
    ids = list(IDS)
    case.random.shuffle(ids)
    await store.commit(
        [Put(Key("n", i), i) for i in ids] + [Put(Key(other, "x"), 1) for other in ("m", "n.x", "N")]
    )
    ordered = sorted(ids, key=str.encode)
    found = await everything(store.scan("n"))
    case.same([record.key.entity_id for record in found], ordered, "the ids of a scan")
    case.same([record.value for record in found], ordered, "the values of a scan")
    case.same(list((await store.names()).entities), ["N", "m", "n", "n.x"], "the names, sorted")


@check(Level.CORE, promise="a scan starts behind any id, there or not, and stops at its limit")
async def scan_pages(case: Case) -> None:
    """Scan with `after` and `limit`, and page by page while there are more than a page."""
    store = await case.store()
    await store.commit([Put(Key("n", i), i) for i in IDS])
    ordered = sorted(IDS, key=str.encode)
    for after in [*ordered, "", "key1", "key100", "\U0010ffff"]:
        rest = [i for i in ordered if i.encode() > after.encode()]
        for limit in (None, 0, 1, 3):
            found = [r.value for r in await everything(store.scan("n", after=after, limit=limit))]
            case.same(found, rest[:limit], f"scan after={after!r} limit={limit}")
    many = [f"{number:04}" for number in range(700)]
    await store.commit([Put(Key("many", i), i) for i in many])
    await store.commit([Delete(Key("many", i)) for i in many[::7]])
    left = [i for place, i in enumerate(many) if place % 7]
    case.history.clear()
    case.same([r.value for r in await everything(store.scan("many"))], left, "a scan of many")
    paged: list[str] = []
    while page := await everything(store.scan("many", after=paged[-1] if paged else None, limit=97)):
        paged += [record.key.entity_id for record in page]
    case.same(paged, left, "the same, 97 at a time")


@check(
    Level.CORE, promise="a scan of what others change meanwhile yields every record that was there all along"
)
async def scan_while_changing(case: Case) -> None:
    """Change, add and delete around the place where a scan is."""
    store = await case.store()
    many = [f"{number:04}" for number in range(0, 1200, 2)]
    await store.commit([Put(Key("n", i), i) for i in many])
    seen = []
    async for record in store.scan("n"):
        seen.append(record.key.entity_id)
        if len(seen) % 100 == 1:
            number = int(record.key.entity_id)
            near = {f"{number + 1:04}", f"{max(number - 1, 1):04}"}
            await store.commit([*(Put(Key("n", i), "new") for i in near), Put(record.key, "again")])
    case.same([i for i in seen if not int(i) % 2], many, "those that were there all along")
    case.same(seen, sorted(set(seen)), "all ids, in order and once each")


@check(
    Level.CORE,
    promise="a stream yields its events oldest first, numbered from 1 without gaps, from any number on",
)
async def streams(case: Case) -> None:
    """Append in several commits, several to one stream in one of them, and read with `after` and `limit`."""
    store = await case.store()
    first = await store.commit([Append("one", 1), Append("two", "x"), Append("one", 2)])
    second = await store.commit([Append("one", 3)])
    expected = [Event("one", 1, 1, first), Event("one", 2, 2, first), Event("one", 3, 3, second)]
    for after in (*range(-1, 5), *FAR):
        for limit in (None, 0, 1, 2):
            found = await everything(store.read("one", after=after, limit=limit))
            case.same(found, expected[max(after, 0) :][:limit], f"read after={after} limit={limit}")
    case.same(await store.last_number("one"), 3, "the last number")
    case.same((await store.names()).streams, ("one", "two"), "the streams")


@check(
    Level.CORE,
    promise="a stream of more events than a page has no gap and no order of its own, wherever one starts",
)
async def long_streams(case: Case) -> None:
    """Append more events than a page has in one commit, and start to read near where pages end."""
    store = await case.store()
    version = await store.commit([Append("many", number) for number in range(1, MANY + 1)])
    case.history.clear()
    expected = [Event("many", number, number, version) for number in range(1, MANY + 1)]
    case.same(await everything(store.read("many")), expected, "a stream of many")
    case.same(await store.last_number("many"), MANY, "its last number")
    for after in (255, 999, 1023, MANY):
        found = await everything(store.read("many", after=after, limit=3))
        case.same(found, expected[after : after + 3], f"3 of them after {after}")
