"""A clean, preloaded process that forks others: each lives for one function call, and may be armed to kill itself.

    python -m holdfast.testing.nursery [MODULE…]    requests on stdin, answers on stdout, one JSON document a line

Children live side by side; each is answered for when it ends. They are killed when stdin closes.

A fork of a process with one thread and everything imported costs milliseconds; starting Python costs a second.
`holdfast.testing.crash` talks to it.
"""

import asyncio
import gc
import inspect
import itertools
import logging
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from holdfast import points

__all__ = ("PRELOADED", "Answer", "Kill", "Life", "Request", "armed", "known_points", "main")

FOREVER: Final = float("inf")

LIMIT: Final = 240.0
"""Seconds that a life may last: one that goes on longer hangs, on however slow a machine."""

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

LISTS: Final = (
    "holdfast.persist",
    "holdfast.runtime.live",
    "holdfast.store.lease",
    "holdfast.store.backends.file",
    "holdfast.store.backends.mongo",
    "holdfast.store.backends.postgres",
    "holdfast.store.backends.redis",
    "holdfast.store.backends.sqlite",
    "holdfast.store.tools",
    "holdfast.store.wrappers",
    "holdfast.store.wrappers.replicated",
)


class Kill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a child is killed: by itself as it reaches `point` for the `nth` time, or from outside `after` seconds.

    `point` "" is any point. Of several, the first that comes true counts.
    """

    point: str = ""
    nth: int = 0
    after: float = 0.0


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A life to be lived: `function` ("module:name") is called with `arguments`, for `limit` seconds at most.

    The answer to it is `Answer` of the same `number`.
    """

    number: int = 0
    function: str
    arguments: dict[str, Any]
    kills: tuple[Kill, ...] = ()
    patches: tuple[str, ...] = ()
    limit: float = LIMIT


class Life(Struct, frozen=True, kw_only=True):
    """How a child ended, what it answered, and the points that it reached, in order."""

    ended: Literal["returned", "raised", "killed", "hung"]
    answer: Any = None
    error: str = ""
    message: str = ""
    reached: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def died_at(self) -> str:
        """The last point that a killed child reached; "" where it reached none."""
        return self.reached[-1] if self.ended == "killed" and self.reached else ""


class Answer(Struct, frozen=True):
    """What became of the request of that number."""

    number: int
    life: Life


def known_points() -> tuple[str, ...]:
    """Return every crash point that is listed, sorted."""
    return tuple(
        sorted({point for module in LISTS for point in getattr(import_module(module), "POINTS", ())})
    )


class armed:  # noqa: N801  # a context manager, named for how it reads
    """Replaces `points.reached`: each point is written to a file descriptor, and the kills are carried out.

    What has been written survives SIGKILL: it is in the kernel's hands. A point that is not listed raises.
    """

    def __init__(self, kills: tuple[Kill, ...], fd: int) -> None:
        self._fd = fd
        self._index = {point: bytes([index]) for index, point in enumerate(known_points())}
        self._counts = {point: itertools.count(1) for point in self._index}
        self._any = itertools.count(1)
        self._due = {(kill.point, kill.nth) for kill in kills if kill.nth}

    def __enter__(self) -> None:
        points.reached = self._reached

    def __exit__(self, *_: object) -> None:
        points.reached = lambda point: None

    def _reached(self, point: str) -> None:
        os.write(self._fd, self._index[point])
        # `next` of a count is atomic: two threads never have the same turn.
        if (point, next(self._counts[point])) in self._due or ("", next(self._any)) in self._due:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # until the signal has been delivered


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
            _child(request, self._trace, self._outcome)
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


def _child(request: Request, trace: int, outcome: int) -> None:
    """Call the function, write down what came of it, and end; never returns."""
    gc.enable()
    os.dup2(2, 1)  # what a bot prints must not be taken for an answer of the nursery
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    random.seed()
    told: dict[str, Any]
    try:
        for patch in request.patches:
            _function(patch)()
        with armed(request.kills, trace):
            told = {"ended": "returned", "answer": _called(_function(request.function), request.arguments)}
        encoded = msgspec.json.encode(told)
    except BaseException as error:
        if os.environ.get("HOLDFAST_NURSERY_TRACE"):
            traceback.print_exc()
        encoded = msgspec.json.encode(
            {"ended": "raised", "error": type(error).__name__, "message": str(error)}
        )
    os.pwrite(outcome, encoded, 0)
    os._exit(0)


def _called(function: Any, arguments: dict[str, Any]) -> Any:
    result = function(**arguments)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


if __name__ == "__main__":
    # Under its own name, so that what a child imports finds the classes that it was asked with.
    import_module("holdfast.testing.nursery").main()
