"""What `verify` finds in any store: each fault is put there on purpose, and a sound store has none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.errors import Corrupt
from holdfast.store import Event, Key, Put, Record, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.tools import count, verify
from holdfast.store.wrappers.base import Wrapper
from tests.store.tools.filling import EVENTS, RECORDS, fill


async def found(store: Store, **checks: Any) -> list[str]:
    async with store:
        return [f"{one.kind} {one.stream or one.key}: {one.reason}" for one in await verify(store, checks)]


async def filled() -> MemoryStore:
    store = MemoryStore()
    async with store:
        await fill(store)
    return store


async def test_a_sound_store() -> None:
    seen = []
    async with await filled() as store:
        assert await verify(store, tell=lambda stage, amount: seen.append(amount)) == []
        stats = await count(store)
    assert sum(seen) == RECORDS + EVENTS
    assert sum(one.count for one in stats.counts) == RECORDS + EVENTS
    sizes = {one.name: one.bytes for one in stats.counts}
    assert sizes["big"] == 3 * 400_002
    assert stats.head == store.head
    assert all(one.version for one in stats.counts)


async def test_an_empty_store() -> None:
    assert await found(MemoryStore()) == []


class Faulty(Wrapper):
    """A store with something wrong in it."""

    fault = ""

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        async for record in super().scan(entity_name, after=after, limit=limit):
            if self.fault == "corrupt" and record.key.entity_id in ("id-2", "id-4"):
                raise Corrupt("its bytes have changed", key=record.key, reason="changed", path=None)
            if self.fault == "versionless" and record.key.entity_id == "id-5":
                yield Record(record.key, record.value, "")
            else:
                yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        async for event in super().read(stream, after=after, limit=limit):
            if self.fault == "gap" and event.number == 7:
                continue
            if self.fault == "short" and event.number > 90:
                return
            if self.fault == "bytes" and event.number == 9:
                raise Corrupt("its bytes have changed", key=None, reason="changed", path=None)
            yield event


@pytest.mark.parametrize(
    ("fault", "first", "times"),
    [
        ("corrupt", "damaged Key(entity_name='signal.s', entity_id='id-2'): its bytes have changed", 2),
        ("versionless", "damaged Key(entity_name='signal.s', entity_id='id-5'): has no version", 1),
        ("gap", "missing history.s.X: event 8 follows 6", 2),
        ("short", "missing history.s.X: ends with event 90, and is to have 1000", 2),
        ("bytes", "damaged history.s.X: after event 8: its bytes have changed", 2),
        ("", "", 0),
    ],
)
async def test_a_fault_is_found_and_what_comes_after_it_is_read(fault: str, first: str, times: int) -> None:
    store = Faulty(await filled())
    store.fault = fault
    said = await found(store)
    assert len(said) == times
    assert said[:1] == ([first] if first else [])


async def test_documents_are_checked_where_they_are_known() -> None:
    def odd(value: Any) -> None:
        if value == 3:
            raise ValueError("is three")

    said = await found(await filled(), **{"signal.": odd})
    assert said == ["damaged Key(entity_name='signal.s', entity_id='id-3'): is three"]


async def test_holdfasts_own_documents_are_checked() -> None:
    store = MemoryStore()
    async with store:
        await store.commit([Put(Key("holdfast.worker", "w"), {"schema": "worker/99"})])
        await store.commit([Put(Key("holdfast.owner.s", "BTC"), {"worker": 1})])
        await store.commit([Put(Key("holdfast.desk", "mark"), {"schema": "mark/1", "state": "odd"})])
    said = await found(store)
    assert len(said) == 3
    assert "upgrade it" in said[-1]
