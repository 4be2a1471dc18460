"""The cache: never longer stale than it says, never torn, never filled with what a commit has overtaken."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Conflict, InvalidOption, NotOpen, Unavailable, WentBack
from holdfast.store import ABSENT, Append, Check, Delete, Key, Put, Record, Store, cached, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.cached import Cached
from holdfast.store.wrappers.entries import Entries, Entry
from tests.store.contract import A, B, C, StoreContract, value
from tests.store.wrappers.doubles import Clock, Gate


class TestCachedMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory:?cache=1000")


class TestCachedFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data?cache=1000&cache_max_age=60")


class TestCacheOfOne(StoreContract):
    """A cache that is always full."""

    @pytest.fixture
    def store(self) -> Store:
        return cached(open_store("memory:"), size=1)


class TestPastTheCache(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory:?cache=1000").uncached


class Bench:
    """A cached store (`ours`), and the same namespace as another process has it (`theirs`)."""

    def __init__(self, *, size: int = 100, kind: type[Cached] = Cached) -> None:
        self.clock = Clock()
        self.theirs = MemoryStore(clock=self.clock)
        self.gate = Gate(self.theirs)
        self.ours = kind(self.gate, size=size, max_age=5.0, clock=self.clock)

    async def __aenter__(self) -> "Bench":
        await self.ours.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ours.close()


async def test_the_second_get_is_from_memory_and_absent_counts() -> None:
    async with Bench() as bench:
        await bench.theirs.commit([Put(A, {"n": [1]})], commit_id="a")
        for _ in range(3):
            assert await bench.ours.get(A, B) == [Record(A, {"n": [1]}, "a"), None]
        assert (bench.gate.gets, bench.ours.hits, bench.ours.misses) == (1, 2, 1)


async def test_another_process_is_seen_after_max_age() -> None:
    async with Bench() as bench:
        assert await value(bench.ours, A) is None
        await bench.theirs.commit([Put(A, 1)])
        bench.clock.passed += 4.999
        assert await value(bench.ours, A) is None
        bench.clock.passed += 0.001
        assert await value(bench.ours, A) == 1


async def test_age_counts_from_the_question_not_from_the_answer() -> None:
    async with Bench() as bench:
        bench.gate.held = True
        reading = asyncio.ensure_future(bench.ours.get(A))
        await bench.gate.happened.wait()
        bench.clock.passed += 4
        bench.gate.held = False
        bench.gate.answer.set()
        await reading
        await bench.theirs.commit([Put(A, 1)])
        bench.clock.passed += 1
        assert await value(bench.ours, A) == 1


async def test_own_commits_are_seen_at_once_and_without_a_read() -> None:
    async with Bench() as bench:
        version = await bench.ours.commit([Put(A, 1), Put(B, None), Append("s", 1)])
        assert await bench.ours.get(A, B) == [Record(A, 1, version), Record(B, None, version)]
        await bench.ours.commit([Delete(A)])
        assert await bench.ours.get(A) == [None]
        assert bench.gate.gets == 0


async def test_nobody_shares_what_is_remembered() -> None:
    async with Bench() as bench:
        given: dict[str, Any] = {"list": [1]}
        writing = asyncio.ensure_future(bench.ours.commit([Put(A, given)]))
        await writing
        given["list"].append(2)
        for _ in range(2):
            found = await value(bench.ours, A)
            assert found == {"list": [1]}
            found["list"].append(3)
        await bench.theirs.commit([Put(B, {"list": [1]})])
        for _ in range(2):
            found = await value(bench.ours, B)
            assert found == {"list": [1]}
            found["list"].append(3)


async def test_size_is_kept_and_the_least_used_goes() -> None:
    async with Bench(size=2) as bench:
        for key in (A, B, A, C):  # A was used after B
            await bench.ours.get(key)
        gets = bench.gate.gets
        await bench.ours.get(A)
        await bench.ours.get(C)
        assert bench.gate.gets == gets
        await bench.ours.get(B)
        assert bench.gate.gets == gets + 1


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("cut", unknown=True),
        Unavailable("down", unknown=False),
        RuntimeError("a bug"),
        asyncio.CancelledError(),
    ],
)
async def test_a_commit_that_did_not_end_well_is_forgotten(failure: Any) -> None:
    async with Bench() as bench:
        await bench.ours.commit([Put(A, 1)])
        bench.gate.fails = failure  # it has happened all the same
        with pytest.raises(type(failure)):
            await bench.ours.commit([Put(A, 2)])
        bench.gate.fails = None
        assert await value(bench.ours, A) == 2


async def test_a_commit_that_is_cancelled_is_forgotten() -> None:
    async with Bench() as bench:
        await bench.ours.commit([Put(A, 1)])
        bench.gate.held = True
        writing = asyncio.ensure_future(bench.ours.commit([Put(A, 2)]))
        await bench.gate.happened.wait()
        writing.cancel()
        await asyncio.wait([writing])
        bench.gate.held = False
        assert await value(bench.ours, A) == 2


async def test_a_conflict_forgets_its_key_and_the_next_try_sees_it() -> None:
    async with Bench() as bench:
        old = await bench.ours.commit([Put(A, 1)])
        new = await bench.theirs.commit([Put(A, 2)])
        with pytest.raises(Conflict):
            await bench.ours.commit([Check(A, old), Put(B, 1)])
        assert await bench.ours.get(A) == [Record(A, 2, new)]


async def test_a_repeated_commit_fills_nothing_in() -> None:
    """It changes nothing, and so says nothing about what is there."""
    async with Bench() as bench:
        await bench.ours.commit([Put(A, "first")], commit_id="one")
        await bench.theirs.commit([Put(A, "second")])
        await bench.ours.commit([Put(A, "first")], commit_id="one")
        assert await value(bench.ours, A) == "second"


# ------------------------------------------------------------ torn and overtaken, each with its control


class Mixing(Cached):
    """Control: puts several keys together from whatever is remembered of each."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entries = MixingEntries(100, 5.0)


class MixingEntries(Entries):
    def together(self, keys: Sequence[Key], now: float) -> list[Entry] | None:
        found = [super(MixingEntries, self).together([key], now) for key in keys]
        return None if None in found else [one[0] for one in found if one is not None]


async def torn(kind: type[Cached]) -> bool:
    """Whether a get of two keys, which the other process changes together, sees them apart."""
    async with Bench(kind=kind) as bench:
        await bench.theirs.commit([Put(A, 1), Put(B, 1)])
        await bench.ours.get(A)
        await bench.theirs.commit([Put(A, 2), Put(B, 2)])
        await bench.ours.get(B)
        a, b = await bench.ours.get(A, B)
        assert a is not None
        assert b is not None
        return bool(a.value != b.value)


async def test_several_keys_are_one_snapshot() -> None:
    assert not await torn(Cached)
    assert await torn(Mixing)


async def test_several_keys_of_one_read_or_one_commit_are_from_memory() -> None:
    async with Bench() as bench:
        await bench.ours.get(A, B, C)
        await bench.ours.get(B, A)
        await bench.ours.commit([Put(A, 1), Put(B, 1)])
        await bench.ours.get(A, B)
        assert bench.gate.gets == 1
        await bench.ours.get(A, C)  # from two snapshots
        assert bench.gate.gets == 2


class Careless(Cached):
    """Control: remembers what it read, whatever was committed meanwhile."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entries = CarelessEntries(100, 5.0)


class CarelessEntries(Entries):
    def end(self, ended: Any, entries: Any, since: float) -> None:
        ended.good = set(ended.keys)
        super().end(ended, entries, since)


async def resurrected(kind: type[Cached]) -> bool:
    """Whether a read whose answer comes after a commit's brings back what was before it."""
    async with Bench(kind=kind) as bench:
        await bench.theirs.commit([Put(A, "old")])
        bench.gate.held = True
        reading = asyncio.ensure_future(bench.ours.get(A))
        await bench.gate.happened.wait()
        bench.gate.held = False
        await bench.ours.commit([Put(A, "new")])
        bench.gate.answer.set()
        await reading
        return bool(await value(bench.ours, A) == "old")


async def test_a_read_that_a_commit_overtook_is_not_remembered() -> None:
    assert not await resurrected(Cached)
    assert await resurrected(Careless)


async def swapped(kind: type[Cached]) -> bool:
    """Whether, of two commits whose answers come the other way round, the first one stays remembered."""
    async with Bench(kind=kind) as bench:
        bench.gate.held = True
        first = asyncio.ensure_future(bench.ours.commit([Put(A, "first")]))
        await bench.gate.happened.wait()
        bench.gate.held = False
        await bench.ours.commit([Put(A, "second")])
        bench.gate.answer.set()
        await first
        return bool(await value(bench.ours, A) == "first")


async def test_answers_in_another_order_are_not_remembered() -> None:
    assert not await swapped(Cached)
    assert await swapped(Careless)


async def test_a_read_that_begins_while_a_commit_is_under_way_is_not_remembered() -> None:
    async with Bench() as bench:
        bench.gate.held = True
        writing = asyncio.ensure_future(bench.ours.commit([Put(A, 1)]))
        await bench.gate.happened.wait()
        bench.gate.held = False
        await bench.ours.get(A)
        await bench.ours.get(A)
        assert bench.gate.gets == 2
        bench.gate.answer.set()
        await writing
        await bench.ours.get(A)
        assert bench.gate.gets == 2


async def test_increments_of_two_processes_add_up() -> None:
    """A stale read costs a Conflict and never a lost update: a Conflict makes the next read a true one."""
    async with Bench() as bench:

        async def increment(store: Store) -> None:
            for _ in range(20):
                while True:
                    [record] = await store.get(A)
                    number, expect = (0, ABSENT) if record is None else (record.value, record.version)
                    try:
                        await store.commit([Put(A, number + 1, expect)])
                        break
                    except Conflict:
                        await asyncio.sleep(0)

        await asyncio.gather(*(increment(store) for store in (bench.ours, bench.theirs, bench.ours)))
        assert await value(bench.theirs, A) == 60


# ------------------------------------------------------------ open, close, past the cache


async def test_nothing_outlives_close() -> None:
    async with Bench() as bench:
        await bench.ours.get(A)
        await bench.ours.close()
        with pytest.raises(NotOpen):
            await bench.ours.get(A)
        await bench.ours.open()
        await bench.theirs.commit([Put(A, 1)])
        assert await value(bench.ours, A) == 1


async def test_a_read_that_ends_after_close_is_not_remembered() -> None:
    async with Bench() as bench:
        bench.gate.held = True
        reading = asyncio.ensure_future(bench.ours.get(A))
        await bench.gate.happened.wait()
        await bench.ours.close()
        bench.gate.held = False
        bench.gate.answer.set()
        await reading
        with pytest.raises(NotOpen):
            await bench.ours.get(A)


async def test_a_store_that_went_back_empties_the_cache() -> None:
    async with Bench() as bench:
        await bench.ours.get(A)
        bench.gate.fails = WentBack("lost", known=2, found=1)
        with pytest.raises(WentBack):
            await bench.ours.commit([Put(B, 1)])
        bench.gate.fails = None
        await bench.theirs.commit([Put(A, 1)])
        assert await value(bench.ours, A) == 1


async def test_past_the_cache() -> None:
    async with Bench() as bench:
        past = bench.ours.uncached
        await bench.ours.get(A)
        await bench.theirs.commit([Put(A, 1)])
        assert (await value(bench.ours, A), await value(past, A)) == (None, 1)
        await past.commit([Put(A, 2)])  # and what is committed past it is not stale in it
        assert await value(bench.ours, A) == 2
        assert past.uncached is past


async def test_a_view_reads_the_cache_and_its_uncached_view_does_not() -> None:
    async with Bench() as bench:
        views = bench.ours.persist
        near, past = views("notes", ""), bench.ours.uncached.persist("notes", "")
        await near.write_value("x", 1)
        await bench.theirs.commit([Put(Key("notes", "x"), 2)])
        assert (await near.read_value("x"), await past.read_value("x")) == (1, 2)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("cache=0", "at least 1"),
        ("cache=1.5", "whole number"),
        ("cache=many", "at least 1"),
        ("cache=10&cache_max_age=0", "at least 0.001"),
        ("cache=10&cache_size=5", "cache_size"),
        ("cache_max_age=5", "means nothing without cache="),
    ],
)
def test_refused(query: str, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        open_store(f"memory:?{query}")


def test_refused_by_call() -> None:
    with pytest.raises(InvalidOption):
        cached(open_store("memory:"), size=0)
    with pytest.raises(InvalidOption):
        cached(open_store("memory:"), max_age=0)
