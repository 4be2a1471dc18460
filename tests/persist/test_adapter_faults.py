"""Adapters that fail at random, before and after they did what they were asked: nothing is lost, torn or doubled."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Corrupt, Unavailable
from holdfast.persist import AdapterStore
from holdfast.persist.domains import Ctor
from holdfast.persist.space import Space
from holdfast.store import Append, Change, Delete, Key, Put
from tests.persist.custom import NEVER, Database, adapter_on

KEYS = [Key(name, entity_id) for name in ("signal.s", "risk.p", "state.s") for entity_id in ("1", "2", "3")]
STREAMS = ("history.s.BTC", "system.s.BTC")
COMMITS = 40


class Trouble:
    """Makes every hook of a database raise, now and then."""

    def __init__(self, chance: random.Random, database: Database) -> None:
        self.happened: Counter[str] = Counter()
        self.chance = chance
        self.active = True
        database.before_write = self.hook("before", 0.08)
        database.after_write = self.hook("after", 0.08)
        database.before_read = self.hook("read", 0.04)

    def hook(self, name: str, likely: float) -> Callable[[str, str], None]:
        def raising(entity_name: str, entity_id: str) -> None:
            if self.active and self.chance.random() < likely:
                self.happened[name] += 1
                raise ConnectionResetError(name)

        return raising


async def insist(store: AdapterStore, chance: random.Random, act: Callable[[], Awaitable[Any]]) -> Any:
    """Try until it works, now and then with a new start between two tries, as a run does."""
    while True:
        try:
            await store.open()
            return await act()
        except Unavailable:
            if chance.random() < 0.4:
                await store.close()


def some_changes(chance: random.Random, number: int) -> list[Change]:
    changes: list[Change] = []
    for key in chance.sample(KEYS, chance.randint(0, 4)):
        changes.append(Delete(key) if chance.random() < 0.3 else Put(key, [number, key.entity_id]))
    changes += [Append(chance.choice(STREAMS), number) for _ in range(chance.randint(0, 2))]
    return changes


def apply(changes: list[Change], records: dict[Key, Any], streams: dict[str, list[Any]]) -> None:
    for change in changes:
        match change:
            case Put(key=key, value=value):
                records[key] = value
            case Delete(key=key):
                records.pop(key, None)
            case Append(stream=stream, event=event):
                streams.setdefault(stream, []).append(event)


async def look(store: AdapterStore) -> tuple[dict[Key, Any], dict[str, list[Any]]]:
    names = await store.names()
    records = {r.key: r.value for name in names.entities async for r in store.scan(name)}
    streams = {name: [event.value async for event in store.read(name)] for name in names.streams}
    return records, streams


def survive(folder: Path, seed: int) -> None:
    """Make random commits in random trouble, and compare with what was asked for."""
    chance, databases = random.Random(seed), (Database(), Database())
    served: dict[str, Ctor] = {"signal": adapter_on(databases[0]), "risk": adapter_on(databases[1], "Risk")}
    troubles = [Trouble(chance, database) for database in databases]
    store = AdapterStore(served, base_dir=str(folder), heartbeat=NEVER)
    records: dict[Key, Any] = {}
    streams: dict[str, list[Any]] = {}

    async def main() -> None:
        for number in range(COMMITS):
            changes = some_changes(chance, number)
            await insist(store, chance, lambda c=changes, n=number: store.commit(c, commit_id=f"c{n}"))  # type: ignore[misc]
            apply(changes, records, streams)
            if chance.random() < 0.3:
                assert await insist(store, chance, lambda: look(store)) == (records, streams)
        for trouble in troubles:
            trouble.active = False
        await store.close()
        async with store:
            assert await look(store) == (records, streams)
            assert store.head == COMMITS

    asyncio.run(main())
    assert all(trouble.happened.total() for trouble in troubles)


@pytest.mark.parametrize("seed", range(25))
def test_random_trouble(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, seed)


def test_control_a_failed_commit_that_is_not_finished_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(self: Space, commit_id: str | None = None) -> None:
        self._pending = None

    monkeypatch.setattr(Space, "settle", forget)

    def survive_all() -> None:
        for seed in range(25):
            survive(tmp_path / str(seed), seed)

    with pytest.raises((AssertionError, Corrupt)):
        survive_all()
