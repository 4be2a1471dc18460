"""Copies between stores: whole and equal, or known to be unfinished; and what they refuse."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Corrupt, InvalidOption, NotActive, StoreInUse, StoreMissing, Unavailable
from holdfast.store import Append, Change, CommitId, Delete, Key, Put, Store, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.tools import activate, copy, differences
from holdfast.store.tools.mark import MARK_KEY, check_active, mark_of
from holdfast.store.wrappers.base import Wrapper
from holdfast.system import SystemClock
from tests.store.tools.filling import EVENTS, RECORDS, fill

BINDING = Key("holdfast.desk", "binding")


async def state_of(store: Store) -> str:
    async with store:
        mark = mark_of((await store.get(MARK_KEY))[0])
    return "" if mark is None else mark.state


async def equal(one: Store, other: Store) -> bool:
    async with one, other:
        return not await differences(one, other)


def a_store(kind: str, folder: Path, name: str) -> Store:
    return open_store(f"{kind}:{folder / name}") if kind != "memory" else MemoryStore()


@pytest.mark.parametrize("move", [False, True], ids=["copy", "move"])
@pytest.mark.parametrize(
    ("one", "other"), [("file", "sqlite"), ("sqlite", "file"), ("memory", "file"), ("file", "memory")]
)
async def test_a_copy_is_equal(tmp_path: Path, one: str, other: str, move: bool) -> None:
    source, target = a_store(one, tmp_path, "source"), a_store(other, tmp_path, "target")
    async with source:
        await fill(source)
    done = await copy(source, target, move=move)
    assert done.records == RECORDS
    assert done.events == EVENTS
    assert done.written == done.records + done.events
    assert done.mark == ("" if move else "copy")
    assert await equal(source, target)
    assert (await state_of(source), await state_of(target)) == (("moved", "") if move else ("", "copy"))


async def test_values_are_compared_exactly() -> None:
    one, other = MemoryStore(), MemoryStore()
    async with one, other:
        await one.commit([Put(Key("a", "x"), {"n": 1}), Append("s", 1), Append("s", True)])
        await other.commit([Put(Key("a", "x"), {"n": 1.0}), Put(Key("b", "y"), None), Append("s", 1)])
        assert [str(one) for one in await differences(one, other)] == [
            "a x: has another value",
            "b y: is only in the second",
            "s 2: is only in the first",
        ]


async def test_leases_stay_and_the_binding_goes() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await source.commit(
            [Put(BINDING, {"exchange": "x"}), Put(Key("holdfast.owner.s", "BTC"), {"worker": "w"})]
        )
    await copy(source, target, move=True)
    async with source, target:
        assert [r and r.value for r in await target.get(BINDING)] == [{"exchange": "x"}]
        for store in (source, target):
            assert await store.get(Key("holdfast.owner.s", "BTC")) == [None]


class Interrupted(Wrapper):
    """A store that fails at its nth commit, before or after it is made."""

    def __init__(self, inner: Store, nth: int, *, after: bool) -> None:
        super().__init__(inner)
        self.left, self._after = nth, after

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise RuntimeError("killed")
        done = await super().commit(changes, commit_id=commit_id, vital=vital)
        if self.left == 0:
            raise RuntimeError("killed")
        return done


@pytest.mark.parametrize("which", ["source", "target"])
@pytest.mark.parametrize("after", [False, True])
async def test_an_interrupted_move_goes_on_and_at_most_one_can_be_traded_on(which: str, after: bool) -> None:
    for nth in range(1, 20):
        source, target = MemoryStore(), MemoryStore()
        async with source:
            await fill(source)
        inner = source if which == "source" else target
        failing = Interrupted(inner, nth, after=after)
        pair = (failing, target) if which == "source" else (source, failing)
        try:
            await copy(*pair, move=True)
        except RuntimeError:
            states = await state_of(source), await state_of(target)
            whole = await equal(source, target)
            assert states in ({("", ""), ("", "copying"), ("moved", "copying"), ("moved", "")})
            if states == ("", ""):
                async with target:
                    assert (await target.names()).streams == ()
            if states == ("moved", ""):
                assert whole
            await copy(source, target, move=True)
        else:
            assert nth > (1 if which == "source" else 5)
            break
        assert await equal(source, target)
        assert (await state_of(source), await state_of(target)) == ("moved", "")


async def test_a_move_that_is_done_is_done() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.url = "memory:one"
    async with source:
        await fill(source)
    await copy(source, target, move=True)
    again = await copy(source, target, move=True)
    assert again.written == 0
    assert again.events == EVENTS


async def test_a_copy_is_brought_up_to_date() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.url = "memory:one"
    async with source:
        await fill(source)
    await copy(source, target)
    async with source:
        await source.commit(
            [Put(Key("signal.s", "id-3"), "new"), Delete(Key("signal.s", "id-4")), Append("history.s.X", 9)]
        )
    again = await copy(source, target)
    assert again.written == 3
    assert await equal(source, target)
    moved = await copy(source, target, move=True)
    assert moved.written == 0
    assert (await state_of(source), await state_of(target)) == ("moved", "")


class Changing(Wrapper):
    """A store that somebody changes each time that all of its names are read."""

    def __init__(self, inner: Store, times: int) -> None:
        super().__init__(inner)
        self.times = times

    async def names(self) -> Any:
        if self.times:
            self.times -= 1
            await self.inner.commit(
                [Put(Key("signal.s", "BTC"), self.times), Append("history.s.X", self.times)]
            )
        return await super().names()


async def test_a_source_that_changes_is_followed_by_a_copy_and_refused_by_a_move() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await fill(source)
    with pytest.raises(StoreInUse, match="stop the run"):
        await copy(Changing(source, 5), target, move=True)
    assert (await state_of(source), await state_of(target)) == ("", "copying")
    with pytest.raises(StoreInUse):
        await copy(Changing(source, 1_000), target)
    await copy(Changing(source, 5), target)
    assert await equal(source, target)


class Forgetful(Wrapper):
    """A broken store: it does not keep one of the keys that it is given."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        kept = [one for one in changes if not (isinstance(one, Put) and one.key.entity_id == "id-3")]
        return await super().commit(kept, commit_id=commit_id, vital=vital)


async def test_a_target_that_loses_something_is_noticed() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await fill(source)
    with pytest.raises(Corrupt, match=r"signal\.s id-3: is only in the first"):
        await copy(source, Forgetful(target))
    assert await state_of(target) == "copying"


@pytest.mark.parametrize("move", [False, True])
async def test_what_is_refused_changes_nothing(tmp_path: Path, move: bool) -> None:
    source, full, empty = MemoryStore(), MemoryStore(), MemoryStore()
    source.url, full.url = "memory:one", "memory:full"
    async with source, full:
        await fill(source)
        await full.commit([Put(Key("signal.s", "mine"), 1)])
    with pytest.raises(InvalidOption, match="not empty"):
        await copy(source, full, move=move)
    with pytest.raises(StoreMissing, match="nothing in namespace"):
        await copy(empty, MemoryStore(), move=move)
    with pytest.raises(InvalidOption, match="onto itself"):
        await copy(source, source, move=move)
    async with full:
        assert full.head == 1
    for store in (source, full, empty):
        assert await state_of(store) == ""
    file = open_store(f"file:{tmp_path}/x")
    async with file:
        await fill(file)
    with pytest.raises(InvalidOption, match="onto itself"):
        await copy(file, open_store(f"file://{tmp_path}/./x"), move=move)


async def test_copies_are_not_mixed() -> None:
    one, other, target = MemoryStore(), MemoryStore(), MemoryStore()
    one.url, other.url, target.url = "memory:one", "memory:other", "memory:target"
    for store in (one, other):
        async with store:
            await fill(store)
    await copy(one, target)
    with pytest.raises(InvalidOption, match="holds a copy of memory:one"):
        await copy(other, target)
    with pytest.raises(InvalidOption, match="only a copy of memory:one"):
        await copy(target, MemoryStore(), move=True)
    third = MemoryStore()
    await copy(target, third)
    await copy(one, target, move=True)
    with pytest.raises(InvalidOption, match="has moved to memory:target"):
        await copy(one, MemoryStore())


async def test_another_stream_of_that_name_is_no_beginning_of_a_copy() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.url = "memory:one"
    async with source:
        await fill(source)
    await copy(source, target)
    changed = MemoryStore()
    changed.url = "memory:one"
    async with changed:
        await changed.commit([Append("history.s.X", "other") for _ in range(2_000)])
        await changed.commit([Append("system.s.X", None), Append("history.é", 1)])
    with pytest.raises(Corrupt, match="another one than the source's"):
        await copy(changed, target)


async def test_another_namespace_only_without_open_signals() -> None:
    source, target = MemoryStore(), MemoryStore(namespace="blue")
    async with source:
        await source.commit([Put(Key("signal.s", "BTC"), None), Append("history.s.BTC", 1)])
    await copy(source, MemoryStore(namespace="green"))
    async with source:
        await source.commit([Put(Key("schedule.s", "BTC"), {"open": True})])
    with pytest.raises(InvalidOption, match="open signals \\(s on BTC\\)"):
        await copy(source, target)
    assert await state_of(target) == ""


async def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    source = MemoryStore()
    async with source:
        await fill(source)
    done = await copy(source, open_store(f"file:{tmp_path}/new?mode=ro"), dry_run=True)
    assert (done.written, done.events) == (0, EVENTS)
    assert os.listdir(tmp_path) == []
    target = MemoryStore()
    await copy(source, target, dry_run=True)
    async with target:
        assert target.head == 0


async def test_what_is_marked_is_not_traded_on_until_it_is_activated() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await fill(source)
    await copy(source, target)
    async with target:
        with pytest.raises(NotActive, match="is a copy of memory:"):
            check_active(target, (await target.get(MARK_KEY))[0])
        assert await activate(target)
        check_active(target, (await target.get(MARK_KEY))[0])
        assert await activate(target) is None


async def test_two_copies_at_once_do_not_both_write() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await fill(source)
    done = await asyncio.gather(*(copy(source, Keep(target)) for _ in range(2)), return_exceptions=True)
    assert any(isinstance(one, StoreInUse | InvalidOption) for one in done) or not any(
        isinstance(one, BaseException) for one in done
    )
    await copy(source, target)
    assert await equal(source, target)


class Keep(Wrapper):
    """A store that stays open, as another process's would."""

    async def close(self) -> None:
        await asyncio.sleep(0)


class Unsure(Wrapper):
    """A store that makes every other commit and then does not say so."""

    def __init__(self, inner: Store, *, retryable: bool = True) -> None:
        super().__init__(inner)
        self._retryable = retryable
        self._turn = 0

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        done = await super().commit(changes, commit_id=commit_id, vital=vital)
        self._turn += 1
        if self._turn % 2:
            raise Unavailable("no answer", unknown=True, retryable=self._retryable)
        return done


class NoWaiting(SystemClock):
    """A clock on which nobody waits."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def test_an_unknown_outcome_is_asked_for_under_the_same_id() -> None:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await fill(source)
    done = await copy(source, Unsure(target), clock=NoWaiting())
    assert done.events == EVENTS
    assert await equal(source, target)
    with pytest.raises(Unavailable):
        await copy(source, Unsure(MemoryStore(), retryable=False), clock=NoWaiting())


async def test_a_copy_reads_past_a_cache() -> None:
    source = MemoryStore()
    async with source:
        await fill(source)
    cached = open_store("memory:?cache=1000")
    await copy(source, cached)
    assert await equal(source, cached)
