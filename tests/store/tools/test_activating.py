"""Activation leaves the other place: of the two of a move at most one can be traded on, also where it is cut off."""

from collections.abc import Sequence

import pytest

from holdfast.errors import InvalidOption, NotActive, Unavailable
from holdfast.store import Append, Key, Put, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.base import Change, CommitId
from holdfast.store.tools import activate, copy
from holdfast.store.tools.mark import MARK_KEY, mark_of
from holdfast.store.wrappers.base import Wrapper

EVENT = Append("history.s.X", {"n": 2})


async def states(*stores: Store) -> list[str]:
    found: list[str] = []
    for store in stores:
        async with store:
            mark = mark_of((await store.get(MARK_KEY))[0])
            found.append(mark.state if mark else "")
    return found


async def two(*, move: bool = True) -> tuple[MemoryStore, MemoryStore]:
    source, target = MemoryStore(), MemoryStore()
    async with source:
        await source.commit([Put(Key("state.s", "X"), 1), Append("history.s.X", {"n": 1})])
    await copy(source, target, move=move)
    return source, target


@pytest.mark.parametrize("move", [True, False], ids=["move", "copy"])
async def test_the_other_place_is_left_and_can_be_come_back_to(move: bool) -> None:
    source, target = await two(move=move)
    one, other = (source, target) if move else (target, source)
    for here, there in ((one, other), (other, one)):
        async with here:
            assert await activate(here, there)
        assert await states(here, there) == ["", "moved"]


async def test_what_was_traded_on_since_is_not_given_up_unasked() -> None:
    source, target = await two()
    async with target:
        await target.commit([EVENT])
    async with source:
        with pytest.raises(NotActive, match="was traded on since"):
            await activate(source, target)
        assert await states(source, target) == ["moved", ""]
    async with source:
        await activate(source, target, give_up_newer=True)
    assert await states(source, target) == ["", "moved"]


async def test_the_control_does_not_look_and_has_two_that_can_be_traded_on() -> None:
    source, target = await two()
    async with source:
        await activate(source)
    assert await states(source, target) == ["", ""]


class Busy(Wrapper):
    """A store where somebody commits just before it is marked."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if any(isinstance(change, Put) and change.key == MARK_KEY for change in changes):
            await self.inner.commit([EVENT])
        return await super().commit(changes, commit_id=commit_id, vital=vital)


async def test_who_commits_in_between_is_noticed() -> None:
    source, target = await two()
    async with source:
        with pytest.raises(NotActive, match="was traded on since"):
            await activate(source, Busy(target))
    assert await states(source, target) == ["moved", ""]


class Down(Wrapper):
    """A store that cannot be written to."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        raise Unavailable("it is down", unknown=False, retryable=False)


async def test_cut_off_in_between_neither_is_traded_on_and_it_goes_on() -> None:
    source, target = await two()
    async with source:
        with pytest.raises(Unavailable):
            await activate(Down(source), target)
    assert await states(source, target) == ["moved", "moved"]
    async with source:
        await activate(source, target)
    assert await states(source, target) == ["", "moved"]


async def test_another_place_is_not_taken_for_the_other_one() -> None:
    source, target = await two()
    async with source:
        with pytest.raises(InvalidOption, match="the other place of"):
            await activate(source, MemoryStore(namespace="blue"))
    third = MemoryStore()
    await copy(target, third, move=True)
    async with source:  # it has moved on from there
        with pytest.raises(NotActive, match="is marked 'moved' itself"):
            await activate(source, Elsewhere(target))
    assert await states(source, target, third) == ["moved", "moved", ""]


class Elsewhere(Wrapper):
    """A store whose mark is about a place of another name."""

    async def fresh(self, *keys: Key) -> list[object]:  # type: ignore[override]
        from msgspec.structs import replace

        [record] = await super().fresh(*keys)
        assert record is not None
        return [replace(record, value={**record.value, "url": "sqlite:///third.db"})]
