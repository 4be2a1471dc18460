"""The nursery's own process: it forks a child for each request, and answers for each that has ended."""

import gc
import logging
import os
import select
import signal
import sys
import time
from importlib import import_module
from typing import Final

import msgspec

from holdfast.testing.nursery.arming import known_points
from holdfast.testing.nursery.living import live
from holdfast.testing.nursery.requests import Answer, Life, Request

__all__ = ("PRELOADED", "main")

FOREVER: Final = float("inf")

PRELOADED: Final = (
    "aiohttp",
    "numpy",
    "holdfast.broker.simulated",
    "holdfast.market.simulated",
    "holdfast.market.invented",
    "holdfast.runtime.backtests",
    "holdfast.runtime.desk",
    "holdfast.runtime.live.runs",
    "holdfast.store.backends.file.store",
    "holdfast.store.backends.memory",
)
"""What every child will have imported already."""


def main() -> None:
    """Serve requests until stdin closes."""
    # Thousands of starts would say thousands of times what their configuration cannot promise.
    logging.getLogger("holdfast.live").setLevel(logging.ERROR)
    for module in (*PRELOADED, *sys.argv[1:]):
        import_module(module)
    gc.collect()
    gc.freeze()  # the garbage collector of a child leaves the shared pages alone
    children: dict[int, _Child] = {}
    asked, waiting = b"", select.poll()
    waiting.register(0, select.POLLIN)
    while True:
        due = min((child.deadline for child in children.values()), default=FOREVER)
        for fd, _ in waiting.poll(min(max(due - time.monotonic(), 0.0), 60.0) * 1000 + 1):
            if fd in children:
                waiting.unregister(fd)
                sys.stdout.buffer.write(msgspec.json.encode(children.pop(fd).ended()) + b"\n")
                sys.stdout.buffer.flush()
                continue
            data = os.read(0, 65_536)
            if not data:
                return _end(children)
            *lines, asked = (asked + data).split(b"\n")
            for line in lines:
                child = _Child(msgspec.json.decode(line, type=Request))
                children[child.fd] = child
                waiting.register(child.fd, select.POLLIN)
        for child in children.values():
            child.end_in_time()


def _end(children: "dict[int, _Child]") -> None:
    for child in children.values():
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)


class _Child:
    """A forked process, and what it writes down; `fd` can be read from once it has ended."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._trace = os.memfd_create("trace", os.MFD_CLOEXEC)
        self._outcome = os.memfd_create("outcome", os.MFD_CLOEXEC)
        self._began = time.monotonic()
        self._hung = False
        self._after = min((kill.after for kill in request.kills if kill.after), default=request.limit)
        self.deadline = self._began + min(self._after, request.limit)
        self.pid = os.fork()
        if self.pid == 0:
            live(request, self._trace, self._outcome)
        self.fd = os.pidfd_open(self.pid)

    def end_in_time(self) -> None:
        """Kill it if its time has come."""
        if time.monotonic() >= self.deadline:
            os.kill(self.pid, signal.SIGKILL)
            self._hung = self._after >= self._request.limit
            self.deadline = FOREVER

    def ended(self) -> Answer:
        """Return how it has ended, and let go of it."""
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._began
        life = _life(status, self._hung, _contents(self._trace), _contents(self._outcome), seconds)
        for fd in (self.fd, self._trace, self._outcome):
            os.close(fd)
        return Answer(self._request.number, life)


def _life(status: int, hung: bool, trace: bytes, outcome: bytes, seconds: float) -> Life:
    names = known_points()
    reached = tuple(names[index] for index in trace)
    if os.WIFSIGNALED(status):
        signalled = os.WTERMSIG(status)
        if signalled != signal.SIGKILL:
            return Life(
                ended="raised", error=signal.Signals(signalled).name, reached=reached, seconds=seconds
            )
        return Life(ended="hung" if hung else "killed", reached=reached, seconds=seconds)
    told = msgspec.json.decode(outcome) if outcome else {"ended": "raised", "error": f"exit {status}"}
    return Life(**told, reached=reached, seconds=seconds)


def _contents(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)
