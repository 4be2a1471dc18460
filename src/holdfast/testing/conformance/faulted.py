"""A child under strace whose system calls fail: which calls of it are the subject's own, and what became of it."""

import asyncio
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

import holdfast
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.crash import Life

__all__ = ("ERRORS", "Call", "calls_in", "injected", "under_strace")

_WRITES: Final = ("EIO", "ENOSPC", "EDQUOT", "EINTR")
_FLUSHES: Final = ("EIO", "ENOSPC", "EDQUOT", "EINTR")
_NAMES: Final = ("EIO", "ENOSPC", "EDQUOT", "EROFS")

ERRORS: Final = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2"), _WRITES),
    **dict.fromkeys(("fsync", "fdatasync", "syncfs", "sync_file_range"), _FLUSHES),
    **dict.fromkeys(("rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat"), _NAMES),
    **dict.fromkeys(("mkdir", "mkdirat", "rmdir", "truncate", "ftruncate", "fallocate"), _NAMES),
    **dict.fromkeys(("open", "openat"), ("EIO", "ENOSPC", "EROFS", "EMFILE")),
    **dict.fromkeys(("read", "pread64", "readv", "preadv"), ("EIO",)),
    **dict.fromkeys(("sendto", "sendmsg"), ("ECONNRESET", "EPIPE", "ETIMEDOUT")),
    **dict.fromkeys(("recvfrom", "recvmsg"), ("ECONNRESET", "ETIMEDOUT")),
    "connect": ("ECONNREFUSED", "EHOSTUNREACH"),
}
"""What each call may fail with, on a disk that is failing, full or read-only, and on a network."""

_SOCKETS: Final = ("sendto", "sendmsg", "recvfrom", "recvmsg", "connect")
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)")
_DESCRIPTOR: Final = re.compile(r"\d+<(.*?)>(?:, |\)| <unfinished)")
_PATH: Final = re.compile(r'(?:\w+<(?P<folder>[^>]*)>, )?"(?P<path>[^"]*)"')
_SYSTEM: Final = (
    "/proc",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/",
    "/usr/",
    "/lib",
    "/sys/",
    "pipe:",
    "anon_inode:",
    "socket:",
    "UNIX",
)
_CODE: Final = (".py", ".pyc", ".so", ".pth", "entry_points.txt")


class Call(Struct, frozen=True, order=True):
    """The `nth` call of a name of one thread, from 1, as strace counts them."""

    name: str
    nth: int


async def under_strace(pid_file: Path, life: Awaitable[Life], options: Sequence[str]) -> Life:
    """Return how a child lived that wrote its id to `pid_file` and waits for a tracer (`script.await_tracer`).

    Raises NotShown where strace may not attach to it.
    """
    if os.path.exists(pid_file):  # noqa: ASYNC240
        os.unlink(pid_file)
    living = asyncio.ensure_future(life)
    while not os.path.exists(pid_file) and not living.done():  # noqa: ASYNC110, ASYNC240  # another process makes it
        await asyncio.sleep(0.002)
    said = "" if living.done() else await _traced(pid_file, options)
    lived = await living
    if lived.error == "TimeoutError" and lived.message == "nobody traces this process":
        raise NotShown(f"strace cannot attach to a process here: {said or 'it came too late'}")
    return lived


async def _traced(pid_file: Path, options: Sequence[str]) -> str:
    """Trace a process to its end; return what strace has to say."""
    command = ["strace", "-f", "-qq", *options, "-p", _text(pid_file)]
    tracer = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    _, said = await tracer.communicate()
    return said.decode(errors="replace").strip()[:200]


def _text(path: Path) -> str:
    return path.read_text()


def calls_in(trace: str, kit: Path) -> list[Call]:
    """Return the calls that are the subject's own, in every thread that gets that far; `kit` is the check's folder."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    ours: dict[Call, bool] = {}
    for thread, name, rest in _lines(trace):
        counts[thread, name] += 1
        call = Call(name, counts[thread, name])
        ours[call] = ours.get(call, True) and _is_ours(name, rest, kit)
    return sorted(call for call, all_ours in ours.items() if all_ours)


def injected(trace: str, kit: Path) -> int | None:
    """Return how many calls were made to fail; None where one of them was none of the subject's."""
    waiting: dict[str, tuple[str, str]] = {}
    hits = [_hit(line, waiting) for line in trace.splitlines()]
    found = [hit for hit in hits if hit is not None]
    return len(found) if all(_is_ours(name, rest, kit) for name, rest in found) else None


def _hit(line: str, waiting: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Return the call of a line that says that it was made to fail, seen whole, or begun in an earlier line."""
    thread = line.partition(" ")[0]
    match = _LINE.match(line)
    if match is not None:
        waiting[thread] = (match[2], match[3])
    return waiting.get(thread) if line.endswith("(INJECTED)") else None


def _lines(trace: str) -> Iterator[tuple[str, str, str]]:
    for line in trace.splitlines():
        match = _LINE.match(line)
        if match is not None and match[2] in ERRORS:
            yield match[1], match[2], match[3]


def _is_ours(name: str, rest: str, kit: Path) -> bool:
    opened = _DESCRIPTOR.match(rest)
    if name in _SOCKETS:
        return opened is not None and opened[1].startswith("TCP")
    path = _path(rest) if opened is None else opened[1].removesuffix("(deleted)")
    return path.startswith("/") and not _is_foreign(path, kit)


def _path(rest: str) -> str:
    named = _PATH.match(rest)
    if named is None:
        return ""
    return named["path"] if named["path"].startswith("/") else f"{named['folder'] or ''}/{named['path']}"


def _is_foreign(path: str, kit: Path) -> bool:
    """Whether a path is the system's, Python's, or the kit's own."""
    code = (sys.prefix, sys.base_prefix, str(Path(holdfast.__file__).parent))
    return (
        path.startswith((*_SYSTEM, *code, str(kit)))
        or path.endswith(_CODE)
        or "memfd:" in path
        or "site-packages" in path
        or path in sys.path
    )
