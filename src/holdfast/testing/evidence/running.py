"""Runs the children: yields what each says as it says it, and says what became of one that hangs or dies."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.testing.evidence.child import Said

__all__ = ("LIMIT", "Children", "Died")

LIMIT: Final = 1_800.0
"""Seconds after which a child that says nothing hangs: far more than anything takes."""

PATIENCE: Final = 20.0
TAIL: Final = 2_000


class Died(HoldfastError):
    """A child did not come to its end: it hung, or died. The message has the end of its stderr."""


class Children:
    """Any number of children, listened to from any threads; `stop` ends all of them, and nobody is to blame."""

    def __init__(self, *, limit: float = LIMIT) -> None:
        self._limit = limit
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether they were told to end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Ask all of them to end, and start no more."""
        self._stopped.set()
        for running in list(self._running):
            running.terminate()

    def said(self, *arguments: str) -> Iterator[Said]:
        """Yield what a new child says until it ends, or until all are stopped; raises Died."""
        with tempfile.TemporaryFile() as log:
            running = _started(arguments, log.fileno())
            self._running.add(running)
            try:
                if not self.stopped:
                    yield from _lines(running, self._limit)
            finally:
                _end(running)
                self._running.discard(running)
            if running.returncode != 0 and not self.stopped:
                log.seek(0)
                tail = log.read()[-TAIL:].decode(errors="replace")
                raise Died(
                    f"{' '.join(arguments)} ended with {running.returncode}\n{tail}", arguments=arguments
                )


def _started(arguments: Sequence[str], log: int) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(  # noqa: S603  # this interpreter, our own module
        [sys.executable, "-m", "holdfast.testing.evidence.child", *arguments], stdout=subprocess.PIPE, stderr=log,
        stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def _lines(running: "subprocess.Popen[bytes]", limit: float) -> Iterator[Said]:
    assert running.stdout is not None
    while True:
        watch = threading.Timer(limit, _kill, (running,))
        watch.daemon = True
        watch.start()
        try:
            line = running.stdout.readline()
        finally:
            watch.cancel()
        if not line.endswith(b"\n"):
            break
        yield msgspec.json.decode(line, type=Said)
    running.wait()


def _end(running: "subprocess.Popen[bytes]") -> None:
    """Ask a child to end, then make it; what it has started watches a pipe to it, and ends likewise."""
    if running.poll() is None:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(PATIENCE)
    _kill(running)
    running.communicate()


def _kill(running: "subprocess.Popen[bytes]") -> None:
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
