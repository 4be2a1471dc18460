"""Clients of one store that write down what they asked and were told, for the checker of histories.

Every commit has an id of its own, which is also the value it puts: so a value shows who wrote it, and a record whose
value is of another commit than its version is seen at once. Every commit appends its id to one stream, too.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from holdfast.errors import Conflict, Unavailable
from holdfast.store import ABSENT, Append, Change, Check, Delete, Event, Key, Put, Record, Store
from holdfast.testing.linear import Operation, Token, failing, told
from holdfast.testing.log import Log, read_log

__all__ = ("LOG", "Client", "clients", "history_of", "key_of", "unsound", "wrong_in")

LOG: Final = "clients.log"
ENTITY: Final = "clients"
TRIES: Final = 8


def key_of(name: str) -> Key:
    """Return the key that a history knows by a short name."""
    return Key(ENTITY, name)


class Client:
    """Reads and commits at random; `history` is what it asked and was told. Cancels a share of `cancels` of it.

    What it asks and is told goes into a `log`, too, if there is one: see `history_of`.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        keys: Sequence[str],
        *,
        seed: str,
        cancels: float = 0.0,
        doubles: float = 0.1,
        log: Log | None = None,
    ) -> None:
        self.history: list[Operation] = []
        self._store = store
        self._name = name
        self._keys = list(keys)
        self._random = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._cancels = cancels
        self._doubles = doubles
        self._log = log
        self._known: dict[str, Token] = {}
        self._number = 0

    async def run(self, count: int) -> None:
        """Do so many operations, one after the other."""
        for _ in range(count):
            await (self._read() if self._random.random() < 0.4 else self._write())

    async def _read(self) -> None:
        names = self._some(3)
        start = time.monotonic()
        # What a decision rests on is read past every cache.
        try:
            found, told = await self._perhaps_cancelled(self._store.fresh(*map(key_of, names)))
        except Unavailable:
            await asyncio.sleep(0.01)
            return
        if told:
            saw = {name: _token(name, record) for name, record in zip(names, found, strict=True)}
            self._known.update(saw)
            self._note(Operation(client=self._name, start=start, saw=saw))

    async def _write(self) -> None:
        self._number += 1
        commit_id = f"{self._name}-{self._number}"
        puts: dict[str, Token] = {
            name: None if self._random.random() < 0.1 else commit_id for name in self._some(2)
        }
        expects = {name: self._known[name] for name in self._some(2) if name in self._known}
        if self._random.random() < 0.3:
            expects = {}
        asked = Operation(client=self._name, start=time.monotonic(), puts=puts, expects=expects, id=commit_id)
        if self._random.random() < self._doubles:
            await asyncio.gather(self._settled(asked), self._settled(asked))
        else:
            await self._settled(asked)

    async def _settled(self, asked: Operation) -> None:
        """Commit, again under the same id where the outcome is unknown, and note what is known in the end."""
        self._tell("asked", asked)
        for _ in range(TRIES):
            try:
                _, told = await self._perhaps_cancelled(
                    self._store.commit(changes_of(asked), commit_id=asked.id)
                )
                if not told:
                    continue
            except Conflict as conflict:
                held = None if conflict.found is ABSENT else conflict.found
                self._note(replace(asked, found=(conflict.key.entity_id, held)))
                self._known[conflict.key.entity_id] = held
            except Unavailable:
                await asyncio.sleep(0.01)
                continue
            else:
                self._note(asked)
                self._known.update(asked.puts)
            return
        self.history.append(asked)

    async def _perhaps_cancelled(self, answer: Awaitable[Any]) -> tuple[Any, bool]:
        """Return an answer, and whether there is one: else it was cancelled on the way."""
        if self._random.random() >= self._cancels:
            return await answer, True
        task = asyncio.ensure_future(answer)
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)
        if self._random.random() < 0.5:
            await asyncio.wait({task}, timeout=self._random.random() * 0.003)
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            return None, False
        return task.result(), True

    def _note(self, one: Operation) -> None:
        known = replace(one, end=time.monotonic())
        self.history.append(known)
        self._tell("told", known)

    def _tell(self, what: str, one: Operation) -> None:
        if self._log is not None:
            self._log(what, one.id, msgspec.to_builtins(one))

    def _some(self, most: int) -> list[str]:
        return self._random.sample(self._keys, self._random.randint(1, min(most, len(self._keys))))


def changes_of(asked: Operation) -> list[Change]:
    """Return the changes of an operation, and the event that tells of it."""
    made: list[Change] = [Append(LOG, asked.id)]
    for name, token in asked.puts.items():
        key, expected = key_of(name), _expected(asked, name)
        made.append(Delete(key, *expected) if token is None else Put(key, token, *expected))
    made += [Check(key_of(name), *_expected(asked, name)) for name in asked.expects if name not in asked.puts]
    return made


def _expected(asked: Operation, name: str) -> tuple[Any, ...]:
    if name not in asked.expects:
        return ()
    held = asked.expects[name]
    return (ABSENT if held is None else held,)


def _token(name: str, record: Record | None) -> Token:
    """Return what a record says of its writer; something that nobody wrote where it says two things."""
    if record is None:
        return None
    if record.value != record.version or record.key != key_of(name):
        return f"{record.value!r} of {record.key.entity_id} at {record.version}"
    return record.version


async def clients(
    *, address: str, names: Sequence[str], keys: Sequence[str], count: int, seed: int, cancels: float = 0.0,
    log: str = "",
) -> list[Any]:  # fmt: skip
    """Run clients in this process, on one store; return their histories. What a child does, which may be killed."""
    from holdfast.testing.own_adapter import store_of

    kept = Log(log) if log else None
    async with store_of(address) as store:
        made = [Client(store, name, keys, seed=f"{seed}/{name}", cancels=cancels, log=kept) for name in names]
        await asyncio.gather(*(client.run(count) for client in made))
    return [msgspec.to_builtins(one) for client in made for one in client.history]


def history_of(log: str | Path) -> list[Operation]:
    """Return the history in a log, whose clients may have been killed: then what they had asked for is unknown."""
    lines = read_log(log)
    told = [msgspec.convert(line.detail, Operation) for line in lines if line.what == "told"]
    asked = {line.commit_id: line.detail for line in lines if line.what == "asked"}
    open_ones = Counter(line.commit_id for line in lines if line.what == "asked")
    open_ones.subtract(one.id for one in told if one.id)
    unknown = [asked[name] for name, count in open_ones.items() for _ in range(max(count, 0))]
    return told + [msgspec.convert(one, Operation) for one in unknown]


def wrong_in(history: Sequence[Operation]) -> tuple[str, list[str]] | None:
    """Return what no order explains, and the shortest history that shows it; None where all is explained."""
    wrong = failing(history)
    return (
        None
        if wrong is None
        else ("no order of whole commits and reads explains this", told(wrong).splitlines())
    )


def unsound(history: Sequence[Operation], events: Sequence[Event]) -> list[str]:
    """Return what is wrong with the stream of all commits: lost, twice, refused and there, numbered wrongly."""
    found = [event.value for event in events]
    done = {one.id for one in history if one.writes and one.end is not None}
    refused = {one.id for one in history if one.found is not None} - done
    wrong = [f"{one} was acknowledged, and is not in the stream" for one in sorted(done - set(found))]
    wrong += [f"{one} was refused, and is in the stream" for one in sorted(refused & set(found))]
    wrong += [
        f"{one} is in the stream {found.count(one)} times"
        for one in sorted(set(found))
        if found.count(one) > 1
    ]
    wrong += [
        f"event {place} is number {event.number}, {event.value} by {event.version}"
        for place, event in enumerate(events, 1)
        if event.number != place or event.value != event.version
    ]
    return wrong
