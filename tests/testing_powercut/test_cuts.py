"""Power cuts on real file systems: they lose what was not flushed, and only that."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from holdfast.testing import powercut
from holdfast.testing.powercut import Cut, Failed, LoopDisk, NoDisk, campaign, cuts, disk, missing
from tests.testing_explorer import designs

ON = pytest.mark.parametrize("file_system", list(powercut.FILE_SYSTEMS))


@pytest.fixture
def cut_off(file_system: str) -> str:
    """A file system whose power can be cut here."""
    reason = missing(file_system)
    if reason:
        pytest.skip(f"power cannot be cut on {file_system}: {reason}")
    return file_system


MOST = 60
"""Cuts, where three do not come upon what is to be seen: a slow machine has hardly begun when its power goes."""


def cut(file_system: str, design: str, enough: Callable[[list[Cut]], bool]) -> list[Cut]:
    """Return three cuts, and more until that is enough."""
    with LoopDisk(file_system) as made:
        found = list[Cut]()
        running = cuts(
            made, designs.without_end, design, check=designs.check, chance=random.Random(design), longest=0.05
        )
        for each in islice(running, MOST):
            found.append(each)
            if len(found) >= 3 and enough(found):
                break
        return found


def played(name: str, file_system: str, count: int, enough: Callable[[list[Cut]], bool]) -> list[Cut]:
    """Return the cuts of a campaign's turn, and of more turns until that is enough."""
    found = list[Cut]()
    for number in range(MOST // count):
        found += campaign.play(name, file_system, "test", number, count)
        if enough(found):
            break
    return found


def acknowledged(found: list[Cut]) -> bool:
    return any(each.acknowledged for each in found)


def noticed(found: list[Cut]) -> bool:
    return any(each.problems for each in found)


def mounted() -> str:
    return Path("/proc/mounts").read_text()


@ON
def test_what_was_flushed_is_there_and_nothing_else(cut_off: str) -> None:
    with LoopDisk(cut_off) as made:
        old, new = made.mount / "old", made.mount / "new"
        old.write_text("flushed")
        fd = os.open(old, os.O_RDWR)
        os.fsync(fd)
        os.close(fd)
        designs.flush_folder(str(made.mount))
        new.write_text("never flushed")
        made.cut()
        with pytest.raises(OSError, match="Input/output error"):
            (made.mount / "more").write_text("no")
        made.restart()
        assert old.read_text() == "flushed"
        assert not new.exists() or new.read_text() == ""
        (made.mount / "more").write_text("yes")
        place = str(made.mount)
        assert place in mounted()
    assert place not in mounted()
    assert not Path(place).exists()


@ON
@pytest.mark.parametrize(
    ("design", "holds"),
    [("full_recipe", True), ("unflushed_log", False), ("sqlite_full", True), ("sqlite_normal", False)],
)
def test_designs(cut_off: str, design: str, holds: bool) -> None:
    found = cut(cut_off, design, acknowledged if holds else noticed)
    assert acknowledged(found)
    assert noticed(found) is not holds, found


@ON
def test_a_store_and_one_that_never_flushes(
    cut_off: str, record_property: Callable[[str, object], None]
) -> None:
    good = played("file", cut_off, 2, acknowledged)
    record_property("cuts", len(good))
    assert not noticed(good), good
    assert acknowledged(good)
    assert noticed(played("tests.testing_explorer.broken:nothing_flushed", cut_off, 5, noticed))


@pytest.mark.server("redis")
@pytest.mark.parametrize("file_system", ["ext4"])
def test_a_server_on_the_disk(cut_off: str, record_property: Callable[[str, object], None]) -> None:
    found = played("redis", cut_off, 2, acknowledged)
    record_property("cuts", len(found))
    assert not noticed(found), found
    assert acknowledged(found)


@pytest.mark.parametrize("file_system", ["ext4"])
def test_a_program_that_ends_by_itself_is_told(cut_off: str) -> None:
    with LoopDisk(cut_off) as made, pytest.raises(Failed, match="ended before"):
        list(cuts(made, designs.run, "full_recipe", "1", check=designs.check, chance=random.Random(1)))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "not known" in missing("btrfs")
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert missing("xfs") == "mkfs.xfs is not installed"
    with pytest.raises(NoDisk):
        LoopDisk("xfs")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing("ext4") == "only root may mount a file system"
    assert campaign.main(["file", "--on", "ext4", "--cuts", "1", "--out", str(tmp_path)]) == 3


def test_a_tool_s_own_words_are_kept() -> None:
    with pytest.raises(NoDisk, match="no such"):
        disk._run("sh", "-c", "echo no such disk >&2; exit 1")


@pytest.mark.parametrize("file_system", ["ext4"])
def test_nothing_stays_mounted_when_we_are_killed(cut_off: str) -> None:
    script = "from holdfast.testing.powercut import LoopDisk; d = LoopDisk(); d.start()"
    script += "; print(d.mount, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    place = child.stdout.readline().strip()
    assert place in mounted()
    child.kill()
    child.communicate()
    for _ in range(5_000):
        if place not in mounted() and not Path(place).exists():
            return
        subprocess.run(["sleep", "0.02"], check=True)
    pytest.fail(f"{place} is still there")
