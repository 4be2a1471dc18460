"""Processes that use an adapter of four methods on real files are killed, for real, at every instant there is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ALL = os.environ.get("HOLDFAST_HAZARDS") == "all"
KILLED = -9


class Victims:
    """Runs processes that are killed where they are told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kills = 0
        self._folders = count()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.persist.crash_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        )

    def folder(self) -> Path:
        folder = self.root / str(next(self._folders))
        folder.mkdir()
        return folder

    def run(self, folder: Path, kill_at: int = 0, mutant: str = "") -> int:
        """Run a process on a folder until it ends or is killed at an instant, and return its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        case = {"folder": str(folder), "kill_at": kill_at, "mutant": mutant}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        self.kills += code == KILLED
        return code

    def instants(self, folder: Path) -> int:
        """Run a process to its end, and return how many instants it passed."""
        assert self.run(folder) == 0, error(folder)
        return int((folder / "passed").read_text())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def victims(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Victims]:
    # In memory where there is such a place: a kill says nothing about the disk, whose flushes take most of the time.
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as root:
        victims = Victims(Path(root))
        yield victims
        victims.close()
    if "control" not in request.node.name:
        request.node.user_properties.append(("kills", victims.kills))


def error(folder: Path) -> str:
    path = folder / "error"
    return path.read_text() if path.exists() else "?"


def first_violation(victims: Victims, mutant: str) -> str:
    """Return what is wrong after the first kill that does harm; "" if none of them does any."""
    kill_at = 0
    while True:
        folder, kill_at = victims.folder(), kill_at + 1
        first = victims.run(folder, kill_at, mutant)
        if first == KILLED and victims.run(folder, 0, mutant) == 0:
            continue
        return "" if first == 0 else error(folder)


def test_a_kill_at_every_instant_loses_and_tears_nothing(victims: Victims) -> None:
    instants = victims.instants(victims.folder())
    assert instants > 100
    assert first_violation(victims, "") == ""
    assert victims.kills == instants


def test_a_kill_during_recovery_loses_and_tears_nothing(victims: Victims) -> None:
    instants = victims.instants(victims.folder())
    for kill_at in range(1, instants + 1, 1 if ALL else 2):
        # Each later process is killed a little further on, through recovery and into its own commits.
        folder = victims.folder()
        assert victims.run(folder, kill_at) == KILLED, error(folder)
        for again in (1 + kill_at % 5, 7 + kill_at % 11, 19 + kill_at % 31):
            code = victims.run(folder, again)
            assert code in (KILLED, 0), f"killed at {kill_at}, then at {again}: {error(folder)}"
        assert victims.run(folder) == 0, f"killed at {kill_at}: {error(folder)}"


@pytest.mark.parametrize("kill_at", [60])
def test_a_kill_at_every_instant_of_recovery_loses_and_tears_nothing(victims: Victims, kill_at: int) -> None:
    again = 0
    while True:
        folder, again = victims.folder(), again + 1
        assert victims.run(folder, kill_at) == KILLED
        second = victims.run(folder, again)
        assert victims.run(folder) == 0, f"killed at {kill_at}, then at {again}: {error(folder)}"
        if second == 0:
            assert again > 40
            return


@pytest.mark.parametrize("mutant", ["no redo write", "redo without its rows", "no repeat at start"])
def test_control_a_broken_protocol_is_caught(victims: Victims, mutant: str) -> None:
    found = first_violation(victims, mutant)
    print(found)
    assert found != ""
