"""A store on adapters of four methods, in whose rows, Holdfast's own too, somebody has changed something."""

import shutil
from functools import cache
from typing import Any

import msgspec

from holdfast.errors import StoreError
from holdfast.persist.adapter_store import AdapterStore
from holdfast.store import Append, Change, Put
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.documents import VALUES
from holdfast.testing.fuzzing.file_store import running
from holdfast.testing.fuzzing.samples import KEYS, STREAMS, place
from holdfast.testing.fuzzing.target import require

__all__ = ("adapter_store", "note")

Rows = dict[tuple[str, str, str], bytes]


class _Adapter:
    """Four methods over rows in memory, the JSON of each as it was written."""

    adapter_name = "fuzzed"
    rows: Rows = {}  # noqa: RUF012  # one for all, as a database is

    def __init__(self, entity_name: str, base_dir: str) -> None:
        self._place = entity_name, base_dir.rpartition("/")[2]

    async def wait_for_init(self, initial: bool) -> None:
        return

    async def has_value(self, entity_id: str) -> bool:
        return (*self._place, entity_id) in self.rows

    async def read_value(self, entity_id: str) -> Any:
        return msgspec.json.decode(self.rows[*self._place, entity_id])

    async def write_value(self, entity_id: str, value: Any) -> None:
        self.rows[*self._place, entity_id] = msgspec.json.encode(value)


def adapter_store(data: bytes) -> None:
    """A store on adapters with a damaged row refuses it, or reads values; nothing of it is absent that is there."""
    dice = Dice(data)
    rows = dict(_rows())
    which = dice.pick(sorted(rows))
    rows[which] = damaged(dice, rows[which])
    _Adapter.rows = rows
    _cleared()

    async def use() -> None:
        async with _store() as store:
            for key in KEYS[:4]:
                (record,) = await store.get(key)
                require(record is not None, f"absent: {key}")
            names = await store.names()
            for name in names.entities:
                [record async for record in store.scan(name)]
            for stream in names.streams:
                [event async for event in store.read(stream)]
            await store.commit([Put(KEYS[0], 1), Append(STREAMS[0], 2)])

    try:
        running(use)
    except StoreError:
        require(rows != _rows(), "refused: rows that nothing happened to")


def note(data: bytes) -> None:
    """The note of what served a namespace is read, or the store is refused, whatever is in it."""
    _Adapter.rows = dict(_rows())
    _cleared()
    own = place() / "adapters" / ".holdfast"
    own.mkdir(parents=True)
    (own / "adapters.json").write_bytes(damaged(Dice(data), b'{"place":"p","map":{"signal":"fuzzed"}}'))

    async def use() -> None:
        async with _store() as store:
            await store.get(KEYS[0])

    try:
        running(use)
    except StoreError:
        return
    except Exception as error:
        require(type(error).__name__ == "InvalidOption", f"refused: by {error!r}")


def _store() -> AdapterStore:
    return AdapterStore({"signal": _Adapter}, base_dir=str(place() / "adapters"), heartbeat=5.0)


def _cleared() -> None:
    shutil.rmtree(place() / "adapters", ignore_errors=True)


@cache
def _rows() -> Rows:
    _Adapter.rows = {}
    _cleared()

    async def make() -> None:
        async with _store() as store:
            for number, key in enumerate((*KEYS[:4], *KEYS[:2])):
                changes: list[Change] = [Put(key, VALUES[number % 4]), Append(STREAMS[number % 2], number)]
                await store.commit(changes, commit_id=f"c{number}")

    running(make)
    return dict(_Adapter.rows)
