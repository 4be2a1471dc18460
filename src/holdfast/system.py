"""The world outside, as objects that a test can replace: the clock, the source of fresh ids, who runs, threads.

The only module of the core that calls `time` or `secrets`. Market time is never read here: it comes
from the exchange. Wall time is for stamps, monotonic time for durations and leases.
"""

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from msgspec import Struct

__all__ = (
    "Clock",
    "Ids",
    "Process",
    "Processes",
    "SystemClock",
    "SystemProcesses",
    "SystemThreads",
    "Threads",
    "Worker",
    "system_bytes",
    "system_ids",
)


class Clock(Protocol):
    """Wall time, monotonic time, and waiting."""

    def now(self) -> int:
        """Wall time, in milliseconds since 1970 UTC; for stamps, never for order."""

    def monotonic(self) -> float:
        """Seconds that only grow; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of `monotonic`."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """Wall time, in milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


class Ids(Protocol):
    """A source of names that no one else has chosen (commit ids, segment salts)."""

    def __call__(self) -> str:
        """A fresh id: 1 to 64 characters of `[0-9a-zA-Z-]`."""


def system_ids() -> str:
    """Return 32 random hexadecimal digits."""
    return secrets.token_hex(16)


def system_bytes(count: int) -> bytes:
    """Return `count` bytes that nobody can guess: for keys and nonces, which may never repeat."""
    return secrets.token_bytes(count)


class Process(Struct, frozen=True, kw_only=True):
    """A process as another one can tell it from all that ever had its id.

    `boot` and `space` (its namespace of process ids, where it is in a container) are "" where the system has none.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: int


class Processes(Protocol):
    """Who this process is, and which others are certainly dead."""

    def this(self) -> Process:
        """Return this process."""

    def is_dead(self, process: Process) -> bool:
        """Whether a process has certainly ended; False where that cannot be known from here."""


class SystemProcesses:
    """The processes of this machine, as far as Linux's /proc tells of them."""

    def this(self) -> Process:
        """Return this process."""
        boot, space = self._here()
        return Process(
            host=socket.gethostname(), boot=boot, space=space, pid=os.getpid(),
            started=(self._started(os.getpid()) if space else None) or 0,
        )  # fmt: skip

    def is_dead(self, process: Process) -> bool:
        """Whether a process of this boot and this namespace of ids is no more, or its id is another's now."""
        boot, space = self._here()
        if not boot or (process.boot, process.space) != (boot, space):
            return False
        try:
            return self._started(process.pid) != process.started
        except OSError:  # `hidepid` hides the living processes of other users, too
            return _is_gone(process.pid)

    def _here(self) -> tuple[str, str]:
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            if os.readlink("/proc/self") == str(
                os.getpid()
            ):  # else /proc tells of another namespace's processes
                return boot, os.readlink("/proc/self/ns/pid")
        except OSError:
            pass  # no Linux
        return "", ""  # nothing is certain, and leases run out by themselves

    def _started(self, pid: int) -> int | None:
        """Return when a process started, in ticks since boot; None where it is dead and not yet buried.

        Raises OSError where there is no such process, or none that this one may look at.
        """
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])


def _is_gone(pid: int) -> bool:
    """Whether no process has that id, not even one that this process may not look at."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Worker(Protocol):
    """A thread that does what it is given, one job after the other."""

    def do(self, job: Callable[[], object]) -> None:
        """Do a job, behind all that were given before; it must not raise."""

    def end(self) -> None:
        """Let the thread end after what it was given."""

    def join(self) -> None:
        """Return when the thread has ended."""


class Threads(Protocol):
    """What runs beside the event loop, so that the loop never waits for a disk or for a user's function."""

    def pool(self, count: int, name: str) -> Executor:
        """Return an executor of `count` threads; its user shuts it down."""

    def worker(self, name: str) -> Worker:
        """Return a thread of its own, which keeps no process from ending."""


class SystemThreads:
    """The threads of this process."""

    def pool(self, count: int, name: str) -> Executor:
        """Return an executor of `count` threads; its user shuts it down."""
        return ThreadPoolExecutor(count, thread_name_prefix=name)

    def worker(self, name: str) -> Worker:
        """Return a daemon thread, started."""
        return _Daemon(name)


class _Daemon:
    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], object]) -> None:
        self._jobs.put(job)

    def end(self) -> None:
        self._jobs.put(None)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
