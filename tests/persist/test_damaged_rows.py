"""Holdfast's own rows, damaged where an adapter keeps them: Corrupt, never a raw error, never taken for nothing."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from holdfast.errors import Corrupt
from holdfast.persist.adapter_store import AdapterStore
from holdfast.persist.host import Host
from holdfast.store import Append, Key, Put
from holdfast.system import SystemClock

KEY = Key("signal.s", "BTCUSDT")


class Kept:
    """An adapter over rows in memory."""

    rows: ClassVar[dict[tuple[str, str], Any]] = {}

    def __init__(self, entity_name: str, base_dir: str) -> None:
        self._place = f"{base_dir.rpartition('/')[2]}/{entity_name}"

    async def wait_for_init(self, initial: bool) -> None:
        return

    async def has_value(self, entity_id: str) -> bool:
        return (self._place, entity_id) in self.rows

    async def read_value(self, entity_id: str) -> Any:
        return self.rows[self._place, entity_id]

    async def write_value(self, entity_id: str, value: Any) -> None:
        self.rows[self._place, entity_id] = value


def _named(row: Any) -> str:
    return "history" if row["holdfast"]["kind"] == "head" else ""


async def used(folder: Path) -> None:
    async with AdapterStore({"signal": Kept}, base_dir=str(folder)) as store:
        await store.get(KEY)
        [event async for event in store.read("history")]


@pytest.mark.parametrize("which", ["names", "ids.signal.s", "history"])
@pytest.mark.parametrize("value", [[], 1.5, {"entities": []}, ["signal.s", 5], "x"])
def test_a_list_that_is_none_is_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, value: Any
) -> None:
    monkeypatch.setattr(Kept, "rows", {})

    async def run() -> None:
        async with AdapterStore({"signal": Kept}, base_dir=str(tmp_path)) as store:
            await store.commit([Put(KEY, 1), Append("history", 1)], commit_id="c1")
            await store.commit(
                [Put(Key("other", "x"), 1)], commit_id="c2"
            )  # which the redo row repeats no more
        for place, row in Kept.rows.items():
            if isinstance(row, dict) and which in (place[1], _named(row)):
                row["value"] = value
        if which == "names":
            Kept.rows.pop(next(place for place in Kept.rows if place[1] == "redo"))
        with pytest.raises(Corrupt):
            await used(tmp_path)

    asyncio.run(run())


def test_a_note_that_is_no_text_is_corrupt(tmp_path: Path) -> None:
    host = Host(str(tmp_path), "default", clock=SystemClock())
    Path(host.note).parent.mkdir()
    Path(host.note).write_bytes(b'{"place":"\xff","map":{}}')
    with pytest.raises(Corrupt, match="damaged"):
        host.read()
