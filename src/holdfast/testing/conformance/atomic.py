"""Atomic: a commit of several changes is seen whole by every reader, here and in other processes, or not at all."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from holdfast.errors import Conflict
from holdfast.store import Append, Change, Check, Key, Put, Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.own_adapter import store_of

__all__ = ("watch",)

KEYS: Final = (Key("signal.one", "BTCUSDT"), Key("risk.one", "BTCUSDT"), Key("a", "z"), Key("z", "a"))
STREAM: Final = "watched"
NEVER: Final = -1


@check(Level.ATOMIC, promise="a get of keys that only change together never sees them apart")
async def seen_whole(case: Case) -> None:
    """Commit all keys and an event again and again, while tasks read them, through other store objects too."""
    store, *others = await case.stores()
    writing = asyncio.ensure_future(_write(store, case.much(25)))
    await _seen_during(case, writing, store, others)


@check(
    Level.ATOMIC, promise="nobody, in whatever process, sees a commit in part", needs=("elsewhere", "shared")
)
async def seen_whole_elsewhere(case: Case) -> None:
    """The same, read by other processes."""
    namespace = case.namespace()
    await _watched(case, await case.store(namespace), case.address(namespace))


@check(
    Level.ATOMIC,
    promise="whoever only reads beside the writer sees no commit in part",
    needs=("elsewhere", "reader"),
)
async def seen_whole_by_readers(case: Case) -> None:
    """The same, by a view that only reads, in another process."""
    namespace = case.namespace()
    store = await case.store(namespace)
    assert case.subject.reader is not None
    await _watched(case, store, case.subject.reader(namespace))


@check(Level.ATOMIC, promise="nothing of a commit that is refused is ever seen by anybody")
async def refused_unseen(case: Case) -> None:
    """Commits that are refused for their last expectation, while tasks read, through other store objects too."""
    store, *others = await case.stores()
    await _write(store, 1)

    async def refuse() -> None:
        for _ in range(case.much(20)):
            never: list[Change] = [*(Put(key, NEVER) for key in KEYS), Append(STREAM, NEVER)]
            with suppress(Conflict):
                await store.commit([*never, Check(Key("zz", "zz"), "nobody")])
                case.broken("a commit whose Check does not hold was done")
            await asyncio.sleep(0)

    await _seen_during(case, asyncio.ensure_future(refuse()), store, others)


async def _seen_during(
    case: Case, doing: "asyncio.Future[None]", store: Store, others: Sequence[Store]
) -> None:
    """Read with two tasks through the store that is used, and through others, until it is done; and judge that."""
    seen = [Seen(store, own=True), Seen(store, own=True), *(Seen(other, own=False) for other in others)]
    watching = [asyncio.ensure_future(one.until(doing.done)) for one in seen]
    await doing
    await asyncio.gather(*watching)
    _judge(case, [one.answer for one in seen])


class Seen:
    """Reads what is written by `_write`, and collects what cannot be.

    `own`: through the store object that writes, whose caches know of every commit. Others may be a while behind.
    """

    def __init__(self, store: Store, *, own: bool) -> None:
        self._store = store
        self._own = own
        self._newest = 0
        self._after = 0
        self.answer: dict[str, Any] = {"wrong": [], "reads": 0}

    async def until(self, over: Any) -> None:
        """Read until it is over."""
        while not over():
            await self.look()
            await asyncio.sleep(0)
        await self.look()

    async def look(self) -> None:
        """Read once: the keys, then the stream, then the keys."""
        before = await self._keys()
        async for event in self._store.read(STREAM, after=self._after):
            if event.value != event.number:
                self._wrong(f"event {event.number} holds {event.value}")
            self._after = event.number
        if self._after < before:
            self._wrong(f"the keys held {before}, and then the stream ended at {self._after}")
        after = await self._keys()
        if self._own and after < self._after:
            self._wrong(f"the stream ended at {self._after}, and then the keys held {after}")
        self.answer["reads"] += 1

    async def _keys(self) -> int:
        records = await self._store.get(*KEYS)
        found = [(0, "") if record is None else (record.value, record.version) for record in records]
        if len(set(found)) > 1:
            self._wrong(f"get saw {[held for held, _ in found]} at once, of keys that only change together")
        newest = max(held for held, _ in found)
        if newest < self._newest:
            self._wrong(f"get saw {newest} after {self._newest}")
        if any(held == NEVER for held, _ in found):
            self._wrong("get saw what was refused")
        self._newest = max(self._newest, newest)
        return self._newest

    def _wrong(self, said: str) -> None:
        if len(self.answer["wrong"]) < 4:
            self.answer["wrong"].append(said)


async def watch(*, address: str, ready: str, stop: str) -> dict[str, Any]:
    """Read until the file `stop` is there: what a child does."""
    async with store_of(address) as store:
        seen = Seen(store, own=False)
        await seen.look()
        _touch(ready)
        await seen.until(lambda: os.path.exists(stop))
    return seen.answer


def _touch(path: str) -> None:
    Path(path).touch()


async def _write(store: Store, count: int) -> None:
    for _ in range(count):
        number = await store.last_number(STREAM) + 1
        await store.commit([*(Put(key, number) for key in KEYS), Append(STREAM, number)])
        await asyncio.sleep(0)


async def _watched(case: Case, store: Store, address: str) -> None:
    await _write(store, 2)
    stop, ready = case.folder / "stop", [case.folder / f"ready-{i}" for i in range(2)]
    arguments = {"address": address, "stop": str(stop)}
    watching = [asyncio.ensure_future(case.live(watch, {**arguments, "ready": str(path)})) for path in ready]
    try:
        while not all(path.exists() for path in ready) and not any(life.done() for life in watching):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await _write(store, case.much(25))
    finally:
        stop.touch()
        lives = await asyncio.gather(*watching)
    answers = []
    for life in lives:
        if life.ended != "returned":
            case.broken(f"a reader {life.ended}: {life.error} {life.message}")
        answers.append(life.answer)
    _judge(case, answers)


def _judge(case: Case, answers: Sequence[dict[str, Any]]) -> None:
    case.tell(snapshots=sum(answer["reads"] for answer in answers))
    for answer in answers:
        if answer["wrong"]:
            case.broken(answer["wrong"][0], answer["wrong"][1:])
