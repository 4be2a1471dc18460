"""SQLite where there is no room: its index is written through memory, where a full disk can kill a process."""

import subprocess
import sys

import pytest

from holdfast.testing.powercut import LoopDisk, NoDisk

FILLED = """
import sys
from holdfast.store.backends.sqlite.disk import SqliteDisk
from holdfast.testing.conformance import Pace, examine
from holdfast.testing.evidence.backends import backend

if sys.argv[2] == "control":
    SqliteDisk.small_blocks = lambda *_: False

with backend("sqlite") as subject:
    (result,) = examine(subject, only=["disk-full"], seed=int(sys.argv[1]), pace=Pace(times=1.0, limit=300.0)).results
print(result.state, result.said)
"""
"""The kit's check, on a disk with small blocks."""

SEEDS = (3, 1, 2, *range(4, 13))
"""With the first a commit finds room for itself and none for its index, where files are laid out as they are here."""

SIGBUS = -7


def lived(seed: int, how: str) -> tuple[int, str]:
    command = [sys.executable, "-c", FILLED, str(seed), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    return done.returncode, done.stdout.strip()


@pytest.mark.crash
def test_a_disk_that_is_full_refuses_commits_and_kills_nobody() -> None:
    try:
        with LoopDisk("ext4"):
            pass
    except NoDisk as why:
        pytest.skip(f"no small disk can be mounted: {why}")
    assert lived(SEEDS[0], "whole") == (0, "kept")
    for seed in SEEDS:
        if lived(seed, "control")[0] == SIGBUS:
            assert lived(seed, "whole") == (0, "kept")
            return
    pytest.skip("not shown: on this file system the room for SQLite's index has no holes")
