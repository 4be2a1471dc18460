"""Damaged state under a bot: nothing is deleted, nothing is traded on it, and it says what is wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.testing.bots import trade_scenario
from holdfast.testing.compare import picture
from holdfast.testing.crash import Kill
from holdfast.testing.trial import Ground, Place
from tests.crash.bots import try_scenario
from tests.crash.conftest import Grounds

OPEN = Kill(point="orders.sent", nth=1)
"""Leaves an intent in the store, and its order executed at the exchange."""


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    written = max(len(data.rstrip(b"\0")) // 2, 1)
    data[written - 1] ^= 0x40
    path.write_bytes(data)


def deleted(path: Path) -> None:
    path.unlink()


REFUSALS = ("Corrupt", "FromTheFuture", "StoreMissing", "Unavailable")

HARMS: dict[str, Callable[[Path], None]] = {
    "torn": torn,
    "emptied": emptied,
    "flipped": flipped,
    "deleted": deleted,
}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def copy(place: Place, name: str) -> Path:
    target = place.folder.with_name(f"{place.folder.name}-{name}")
    shutil.copytree(place.folder, target)
    return target


@pytest.fixture
def wounded(grounds: Grounds) -> tuple[Ground, Place]:
    """A bot that was killed while its entry's answer was on the way."""
    ground = grounds.one
    place = ground.place("take-profit")
    life = ground.nursery.live(trade_scenario, place.arguments("take-profit"), kills=[OPEN])
    assert life.ended == "killed"
    return ground, place


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_mended_or_refused_and_never_traded_on(
    grounds: Grounds, wounded: tuple[Ground, Place], harm: str
) -> None:
    names = len(files(wounded[1].folder))
    mended = []

    def judgement(ground: Ground, number: int) -> str:
        place, orders = ground.place("take-profit"), len(ground.twin("take-profit").orders)
        arguments = place.arguments("take-profit")
        ground.nursery.live(trade_scenario, arguments, kills=[OPEN])
        found = files(place.folder)
        target = found[min(number, len(found) - 1)]
        HARMS[harm](target)
        said = ground.nursery.live(try_scenario, arguments).answer
        witness = ground.exchange.witness(place.session)
        stopped = said.get("error", "") in REFUSALS or bool(said.get("done", {}).get("halted"))
        if not stopped:
            mended.append(target.name)
        right = (1, 0) if stopped else (orders, 0)
        kept = len(files(place.folder)) >= len(found) - 2
        return (
            ""
            if (witness.orders, len(witness.doubled)) == right and kept
            else f"{target.name}: {said} {witness}"
        )

    grounds.judge(range(names), judgement)
    assert mended  # a lock or a spare segment is nobody's state


def test_state_that_was_deleted_is_missed(wounded: tuple[Ground, Place]) -> None:
    ground, place = wounded
    shutil.rmtree(place.folder)
    said = ground.nursery.live(try_scenario, place.arguments("take-profit")).answer
    [reason] = said["done"]["halted"]
    assert "does not know" in reason
    assert ground.exchange.witness(place.session).orders == 1


def test_an_older_copy_of_the_state_is_noticed_and_halts(grounds: Grounds) -> None:
    ground = grounds.one
    place = ground.place("take-profit")
    arguments = place.arguments("take-profit")
    early = ground.nursery.live(trade_scenario, arguments, kills=[Kill(point="live.decided", nth=1)])
    assert early.ended == "killed"
    old = copy(place, "old")
    later = ground.nursery.live(
        trade_scenario, arguments, kills=[Kill(point="orders.outcome-committed", nth=1)]
    )
    assert later.ended == "killed"
    shutil.rmtree(place.folder)
    old.rename(place.folder)
    said = ground.nursery.live(try_scenario, arguments).answer
    [reason] = said["done"]["halted"]
    assert "does not know" in reason
    assert ground.exchange.witness(place.session).orders == 1
    again = ground.nursery.live(try_scenario, arguments).answer
    assert again["done"]["halted"] == [reason]
    seen = picture(place.url, place.store)
    assert seen.witness.doubled == {}
