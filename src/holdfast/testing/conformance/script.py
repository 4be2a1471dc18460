"""A sequence of commits known beforehand, so that whatever a crash leaves must be the state after one of them."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from holdfast.store import Append, Change, Delete, Key, Put, Store
from holdfast.testing.log import Log, read_log
from holdfast.testing.own_adapter import store_of

__all__ = ("Script", "State", "await_tracer", "reopen", "state_of", "told_of", "work")

KEYS: Final = tuple(
    Key(name, entity_id) for name in ("script.a", "script.b") for entity_id in ("x", "y", "z")
)
STREAMS: Final = ("script.one", "script.two")


class State(Struct, frozen=True):
    """All records and all streams, as values that can be compared."""

    records: dict[str, tuple[Any, str]]
    streams: dict[str, list[tuple[Any, str]]]


class Script:
    """Commits of several changes each, drawn from a seed; `after(n)` is the state after the first n of them.

    `sizes` are the lengths of the texts in them.
    """

    def __init__(self, seed: int, *, sizes: Sequence[int] = (1, 20, 300)) -> None:
        self._seed = seed
        self._sizes = sizes
        self._states = [State({}, {})]

    def commit(self, number: int) -> tuple[list[Change], str]:
        """Return the changes and the id of the commit of that number, from 0."""
        chance = random.Random(f"{self._seed}/{number}")  # noqa: S311  # repeatable on purpose
        value = {"number": number, "text": "x" * chance.choice(self._sizes)}
        changes: list[Change] = [
            Delete(key) if chance.random() < 0.2 else Put(key, {**value, "of": key.entity_id})
            for key in chance.sample(KEYS, chance.randint(1, 4))
        ]
        changes += [Append(stream, value) for stream in chance.sample(STREAMS, chance.randint(0, 2))]
        return changes, f"script-{number}"

    def after(self, count: int) -> State:
        """Return the state after so many commits."""
        while len(self._states) <= count:
            self._states.append(_applied(self._states[-1], *self.commit(len(self._states) - 1)))
        return self._states[count]

    def found(self, state: State, acknowledged: int, asked: int) -> int | None:
        """Return after how many commits the state is this one, between those acknowledged and those asked for."""
        return next((n for n in range(acknowledged, asked + 1) if self.after(n) == state), None)

    def fault(self, state: State, acknowledged: int, asked: int) -> str:
        """Return what is wrong with a state that it cannot be."""
        for count in range(asked + 2):
            if self.after(count) == state:
                return f"the state is that after {count} commits; {acknowledged} were acknowledged, {asked} asked for"
        there = self.after(acknowledged)
        wrong = [
            f"{name} is {_brief(state.records.get(name))} and not {_brief(there.records.get(name))}"
            for name in sorted({*state.records, *there.records})
            if state.records.get(name) != there.records.get(name)
        ]
        wrong += [
            f"{name} has {len(state.streams.get(name, []))} events and not {len(there.streams.get(name, []))}"
            for name in sorted({*state.streams, *there.streams})
            if state.streams.get(name) != there.streams.get(name)
        ]
        return f"the state is that of no whole commits; after {acknowledged} acknowledged, " + "; ".join(
            wrong[:4]
        )


async def work(
    *, address: str, log: str, seed: int, begin: int, count: int, traced: str = "", die: bool = False
) -> int:
    """Make the commits of a script from `begin` on: what a child does until it is killed, at the latest once told."""
    if traced:
        await_tracer(traced)
    lines, script = Log(log), Script(seed)
    async with store_of(address) as store:
        for number in range(begin, begin + count):
            changes, commit_id = script.commit(number)
            lines("asked", commit_id, number)
            await store.commit(changes, commit_id=commit_id)
            lines("acknowledged", commit_id, number)
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
    return count


async def reopen(*, address: str) -> None:
    """Open a store and close it: what a child does that is killed while it recovers."""
    async with store_of(address):
        pass


def told_of(log: Path, begin: int) -> tuple[int, int]:
    """Return how many commits in all were acknowledged and asked for, by the log of a child that began there."""
    lines = read_log(log)
    acknowledged = [line.detail + 1 for line in lines if line.what == "acknowledged"]
    asked = [line.detail + 1 for line in lines if line.what == "asked"]
    return max([begin, *acknowledged]), max([begin, *asked])


async def state_of(store: Store) -> State:
    """Return what a store holds."""
    names = await store.names()
    records, streams = {}, {}
    for name in names.entities:
        async for record in store.scan(name):
            records[f"{name}/{record.key.entity_id}"] = (record.value, record.version)
    for stream in names.streams:
        streams[stream] = [(event.value, event.version) async for event in store.read(stream)]
    found = await store.get(*KEYS)
    for key, one in zip(KEYS, found, strict=True):
        name = f"{key.entity_name}/{key.entity_id}"
        if (one and (one.value, one.version)) != records.get(name):
            records[name] = (f"scan says {records.get(name)}, get {one}", "")
    return State(records, streams)


def _applied(state: State, changes: Sequence[Change], version: str) -> State:
    records, streams = dict(state.records), dict(state.streams)
    for change in changes:
        if isinstance(change, Put):
            records[f"{change.key.entity_name}/{change.key.entity_id}"] = (change.value, version)
        elif isinstance(change, Delete):
            records.pop(f"{change.key.entity_name}/{change.key.entity_id}", None)
        elif isinstance(change, Append):
            streams[change.stream] = [*streams.get(change.stream, []), (change.event, version)]
    return State(records, streams)


def _brief(held: tuple[Any, str] | None) -> str:
    return "absent" if held is None else (held[1] or str(held[0]))


def await_tracer(pid_file: str) -> None:
    """Write down who this is, and wait until somebody traces it."""
    Path(f"{pid_file}.part").write_text(str(os.getpid()))
    Path(f"{pid_file}.part").replace(pid_file)
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody traces this process")
        time.sleep(0.001)
