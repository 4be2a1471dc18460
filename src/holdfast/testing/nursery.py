"""A clean, preloaded process that forks others: each lives for one function call, and may be armed to kill itself.

    python -m holdfast.testing.nursery [MODULE…]    requests on stdin, answers on stdout, one JSON document a line

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

__all__ = ("PRELOADED", "Kill", "Life", "Request", "armed", "known_points", "main")

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
    """A life to be lived: `function` ("module:name") is called with `arguments`, for `limit` seconds at most."""

    function: str
    arguments: dict[str, Any]
    kills: tuple[Kill, ...] = ()
    patches: tuple[str, ...] = ()
    limit: float = 60.0


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
    for line in sys.stdin.buffer:
        life = _live(msgspec.json.decode(line, type=Request))
        sys.stdout.buffer.write(msgspec.json.encode(life) + b"\n")
        sys.stdout.buffer.flush()


def _live(request: Request) -> Life:
    trace, outcome = os.memfd_create("trace", os.MFD_CLOEXEC), os.memfd_create("outcome", os.MFD_CLOEXEC)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(request, trace, outcome)
    try:
        hung = _await(pid, request)
        _, status = os.waitpid(pid, 0)
        return _life(status, hung, _contents(trace), _contents(outcome), time.monotonic() - began)
    finally:
        os.close(trace)
        os.close(outcome)


def _await(pid: int, request: Request) -> bool:
    """Wait for the end of a child, kill it when its time has come; return whether it had to be ended as hung."""
    after = min((kill.after for kill in request.kills if kill.after), default=request.limit)
    fd = os.pidfd_open(pid)
    try:
        if select.select([fd], [], [], min(after, request.limit))[0]:
            return False
        os.kill(pid, signal.SIGKILL)
        return after >= request.limit
    finally:
        os.close(fd)


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
