"""The command as a process of its own, and small bots and candle files for it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run

COMMAND = [sys.executable, "-c", "from holdfast.cli import main; main()"]
DEADLINE = 200.0

# In a trade most of the time: one is over within minutes, and the next is asked for at once.
EAGER = """
from holdfast import Desk, Signal

desk = Desk(store="file:state")

@desk.strategy("eager", interval="5m")
def eager(ctx):
    ctx.state["asked"] = ctx.state.get("asked", 0) + 1
    side = "long" if ctx.state["asked"] % 2 else "short"
    up, down = ctx.price * 1.006, ctx.price * 0.994
    take, stop = (up, down) if side == "long" else (down, up)
    return Signal(side=side, take_profit=take, stop_loss=stop, time_limit=20, cost=100)
"""


class Done:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Every line of stdout, which has to be an object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last object."""
        last = self.objects[-1]
        assert last["type"] == "summary"
        return last

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The objects of one type."""
        return [one for one in self.objects if one["type"] == kind]


class Here:
    """Runs commands in this process, which is cheap: their words go in, their output and code come back."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Done:
        self._capsys.readouterr()
        code = run([str(word) for word in words])
        out, err = self._capsys.readouterr()
        return Done(code, out, err)


def process(*words: object, cwd: Path, **environment: str) -> Done:
    """Run a command as a process of its own, to its end."""
    asked = [*COMMAND, *map(str, words)]
    done = subprocess.run(asked, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that runs; its lines are kept as they come."""

    def __init__(self, *words: object, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines: dict[str, list[str]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe))
            for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: Any) -> None:
        for line in pipe:
            self._lines[name].append(line)

    @property
    def out(self) -> str:
        """Its stdout so far."""
        return "".join(self._lines["out"])

    @property
    def err(self) -> str:
        """Its stderr so far."""
        return "".join(self._lines["err"])

    def until(self, condition: Callable[["Running"], object]) -> None:
        """Wait for a condition; fails when it comes to nothing in time."""
        end = time.monotonic() + DEADLINE
        while not condition(self):
            assert time.monotonic() < end, f"never came: {self.out[-500:]} {self.err[-500:]}"
            assert not self._silent() or condition(self), f"ended: {self.out[-500:]} {self.err[-500:]}"
            time.sleep(0.01)

    def _silent(self) -> bool:
        """Whether it has ended, and all that it said has been read."""
        return self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)

    def ended(self) -> Done:
        """Wait for its end."""
        self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return Done(self.process.returncode, self.out, self.err)


def unread(*words: object, cwd: Path) -> Done:
    """Run a command to its end whose reader goes away after the first line, as `| head -1` does."""
    asked = [*COMMAND, *map(str, words)]
    command = subprocess.Popen(asked, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert command.stdout is not None
    assert command.stderr is not None
    with command.stdout as out, command.stderr as err:
        first = out.readline()
        out.close()
        said = err.read()
    return Done(command.wait(DEADLINE), first, said)


@contextmanager
def running(*words: object, cwd: Path) -> Iterator[Running]:
    """Start a command, and end it with the test."""
    command = Running(*words, cwd=cwd)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.ended()
