"""A disk without room: no new work is begun, what is open is watched and ended, and nothing is lost."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing.bots import trade_scenario
from holdfast.testing.compare import different, doubled, lost, picture
from holdfast.testing.crash import Kill
from holdfast.testing.exchange.faults import Fault
from tests.crash.bots import trade_filling
from tests.crash.conftest import Grounds

SIZE = 24 << 20
SLOW = Fault(on="candles", do="delay", ms=100, times=0)
"""Gives the store's housekeeping time to find out that there is no room."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all the room there is."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_a_disk_that_fills_up_at_any_minute_shows_nowhere_once_there_is_room(
    grounds: Grounds, small_disk: Path
) -> None:
    ground = grounds.one
    twin = ground.twin("take-profit")
    for minute in (2, 4, 9):
        place = ground.place("take-profit", faults=[SLOW])
        store = f"file:{small_disk}/{place.session}"
        arguments = {"scenario": "take-profit", "url": place.url, "store": store, "disk": str(small_disk)}
        life = ground.nursery.live(trade_filling, {**arguments, "minute": minute}, limit=60)
        assert life.ended == "returned", (minute, life.error, life.message)
        seen = picture(place.url, store)
        assert (doubled(seen), lost(seen), different(twin, seen)) == ([], [], []), minute
        assert life.answer["refused"] > 0, minute
        shutil.rmtree(small_disk / place.session)


def test_a_bot_that_is_killed_on_a_full_disk_goes_on_once_there_is_room(
    grounds: Grounds, small_disk: Path
) -> None:
    ground = grounds.one
    twin, place = ground.twin("take-profit"), ground.place("take-profit")
    store = f"file:{small_disk}/state"
    arguments = {"scenario": "take-profit", "url": place.url, "store": store}
    ground.nursery.live(trade_scenario, arguments, kills=[Kill(point="orders.sent", nth=1)])
    filler = fill(small_disk)
    full = ground.nursery.live(trade_scenario, arguments, kills=[Kill(after=1.5)])
    assert full.ended == "killed" or full.error in ("StoreFull", "Unavailable")
    assert ground.exchange.witness(place.session).doubled == {}
    filler.unlink()
    assert ground.nursery.live(trade_scenario, arguments).ended == "returned"
    seen = picture(place.url, store)
    assert (doubled(seen), lost(seen), different(twin, seen)) == ([], [], [])
