"""Cut the power under a program that writes, switch it on again, and check what is there.

The program tells what it asks for (`asked …`) and what was acknowledged (`done …`) by `mark`, to a file on another
disk. Only what was read there *before* the cut counts: an acknowledgement that arrives while the power is going may be
an answer that the file system gives on its way down. What was asked for may be there, told before the cut or after.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from holdfast.errors import HoldfastError
from holdfast.testing.explorer.checking import Check, problems
from holdfast.testing.explorer.marks import ENVIRONMENT
from holdfast.testing.powercut.disk import LoopDisk

__all__ = ("DONE", "Cut", "Failed", "command_of", "cuts", "until_cut")

LIMIT: Final = 60.0
ASKED: Final = "asked "
DONE: Final = "done "


class Failed(HoldfastError):
    """The program ended by itself before its power was cut: `log` is what it wrote to stderr."""


class Cut(Struct, frozen=True):
    """One power cut: how much was acknowledged since the last (`done …`), and what of all that is broken."""

    acknowledged: int
    problems: tuple[str, ...]
    marks: tuple[str, ...]


def cuts(
    disk: LoopDisk,
    program: Callable[..., object],
    *arguments: str,
    check: Check,
    chance: random.Random,
    longest: float = 0.3,
) -> Iterator[Cut]:
    """Yield cut after cut: run `program`, which must not end, on the disk's folder, cut its power, check a copy.

    It is called with the folder and `arguments`, in a process of its own, anew after each cut, and finds what the one
    before has left. Most cuts come within `longest` seconds of its first mark; others while it starts. Raises Failed.
    """
    known: list[str] = []
    command = command_of(program, str(disk.mount), *arguments)
    with tempfile.TemporaryDirectory(prefix="holdfast-marks-") as aside:
        marks = Path(aside) / "marks"
        while True:
            marks.write_text("".join(f"{line}\n" for line in known))
            told = until_cut(disk, command, marks, chance, longest)
            disk.restart()
            fresh = [line for line in told[len(known) :] if line.startswith(DONE)]
            known = told
            yield Cut(len(fresh), _checked(disk, check, told), tuple(told))


def command_of(program: Callable[..., object], *arguments: str) -> list[str]:
    """Return the command that calls a function by its name, in a process of its own."""
    name = f"{program.__module__}:{program.__qualname__}"
    return [sys.executable, "-m", "holdfast.testing.explorer.child", name, *arguments]


def until_cut(
    disk: LoopDisk, command: Sequence[str], marks: Path, chance: random.Random, longest: float
) -> list[str]:
    """Run the program until the power is cut, and return the marks that count."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, ENVIRONMENT: str(marks), "PYTHONPATH": path}
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(command, stderr=log, env=environment, start_new_session=True)  # noqa: S603
        try:
            _wait(running, marks, chance, longest)
            ended = running.poll() is not None
            before = marks.read_text().splitlines()  # the very last thing before the cut
            disk.cut()
        finally:
            _kill(running)
        if ended:
            log.seek(0)
            said = log.read()[-4000:].decode(errors="replace")
            raise Failed(f"it ended before its power was cut:\n{said}", log=said)
    after = marks.read_text().splitlines()[len(before) :]
    return before + [line for line in after if line.startswith(ASKED)]


def _wait(running: "subprocess.Popen[bytes]", marks: Path, chance: random.Random, longest: float) -> None:
    """Return when it is time to cut."""
    size, deadline = marks.stat().st_size, time.monotonic() + LIMIT
    if chance.random() < 0.2:  # while it starts: nothing may have been told yet
        deadline = time.monotonic() + chance.uniform(0.1, 0.6)
    while marks.stat().st_size == size and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, longest))


def _kill(running: "subprocess.Popen[bytes]") -> None:
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _checked(disk: LoopDisk, check: Check, marks: Sequence[str]) -> tuple[str, ...]:
    """Check a copy: recovery writes, and the program shall find what the cut left."""
    with tempfile.TemporaryDirectory(prefix="holdfast-cut-") as aside:
        copy = Path(aside) / "copy"
        shutil.copytree(disk.mount, copy, symlinks=True, ignore=shutil.ignore_patterns("lost+found"))
        return problems(check, copy, marks)
