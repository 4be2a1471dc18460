"""strace: run a program under it, and read its log as calls.

Strings are asked for in hexadecimal, whole: nothing in a log line is then a quote, comma or bracket but strace's own.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from holdfast.errors import HoldfastError

__all__ = ("CALLS", "FORKING", "Call", "Log", "TraceAgain", "Untraceable", "missing", "run", "unhex")

CALLS: Final = (
    "open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "lseek",
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice", "vmsplice",
    "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "fsync", "fdatasync", "sync", "syncfs",
    "sync_file_range", "setxattr", "lsetxattr", "fsetxattr", "mmap", "io_uring_setup", "io_submit", "ioctl",
    "chdir", "fchdir", "chroot", "mount", "clone", "clone3", "fork", "vfork", "execve", "execveat",
)  # fmt: skip
"""The calls that can change files, or what a descriptor means. (Those that change modes, owners or times are not.)"""

FORKING: Final = frozenset({"clone", "clone3", "fork", "vfork"})
"""The calls that make a process or thread."""

_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"
_LINE: Final = re.compile(r"(\d+) +(.*)", re.DOTALL)
_QUOTED: Final = re.compile(r'"[^"]*"')
_CUT: Final = re.compile(r"( <unfinished \.\.\.>)?(\) += \?( <unavailable>)?)?$")
_NOBODYS: Final = 1 << 30
"""A descriptor that no process has: what a call would have returned to one that is dead."""
_RETURNED: Final = re.compile(r"\) += (-?\d+|\?|0x[0-9a-f]+)(.*)$")


class Untraceable(HoldfastError):
    """A program cannot be traced, or did what the model of a file system does not know: nothing is shown then."""


class TraceAgain(Untraceable):
    """How threads happened to run leaves open what happened: another trace of the same program will do."""


class Call(Struct, frozen=True):
    """A system call that returned: `began` is how many others had returned when it began."""

    thread: int
    name: str
    args: tuple[str, ...]
    result: str
    began: int

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return self.result.startswith("-")


@cache
def missing() -> str:
    """Return why nothing can be traced here; "" where it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)  # noqa: S607
    return f"strace may not trace here ({tried.stderr.strip()[:200]})" if tried.returncode else ""


def run(
    program: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    limit: float,
    inject: Sequence[str] = (),
) -> str:
    """Run a program under strace and return what it wrote to stderr; raises Untraceable where it failed.

    `inject` are faults, as strace spells them.
    """
    if missing():
        raise Untraceable(missing())
    traced = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", str(1 << 24), "-e", "signal=none"]
    traced += ["-e", "trace=" + ",".join(f"?{name}" for name in CALLS), "-o", str(log)]
    traced += [*(word for fault in inject for word in ("-e", f"inject={fault}")), "--", *program]
    running = subprocess.Popen(  # noqa: S603  # the program that the caller wants traced
        traced, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
        start_new_session=True, text=True, errors="replace",
    )  # fmt: skip
    try:
        _, said = running.communicate(timeout=limit)
    except BaseException as error:
        os.killpg(running.pid, signal.SIGKILL)  # a program would outlive its tracer
        running.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise Untraceable(f"the traced program did not end within {limit:g} s") from error
    if running.returncode:
        message = f"the traced program failed with {running.returncode}:\n{said[-4000:]}"
        raise Untraceable(message, status=running.returncode)
    return said


class Log:
    """A log as it is read: calls that have not returned, threads that are known.

    `cut_off` are the calls that a kill ended: whether they did anything is not told. Those whose place in it is in
    `done` are taken as done, where their thread is seen to end; the others as never begun.
    """

    def __init__(self, done: Collection[int] = ()) -> None:
        self.cut_off: list[str] = []
        self._taken_as_done = done
        self._open: dict[int, tuple[str, int]] = {}
        self._threads: set[int] = set()
        self._done = 0

    def calls(self, lines: Iterable[str]) -> Iterator[Call]:
        """Yield the calls in the order in which they returned; a fork stands before everything that its child does."""
        for line in lines:
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                raise Untraceable(f"not a line of strace: {line[:200]!r}")
            yield from self._read(int(match[1]), match[2])

    def _read(self, thread: int, text: str) -> Iterator[Call]:
        """Yield the call that a line ends, and the fork that it shows, if it does."""
        if self._threads and thread not in self._threads:
            yield self._told(self._fork_of(thread))
        self._threads.add(thread)
        if text.endswith(_UNFINISHED):
            self._open[thread] = text.removesuffix(_UNFINISHED), self._done
        elif text.startswith("+++"):
            if thread in self._open:
                yield from self._cut(thread, *self._open.pop(thread))
        else:
            yield from self._returned(thread, text)

    def _returned(self, thread: int, text: str) -> Iterator[Call]:
        began, resumed = self._done, _RESUMED.match(text)
        if resumed is not None:
            if thread not in self._open:
                raise Untraceable(f"strace resumes a call that never began: {text[:200]!r}")
            first, began = self._open.pop(thread)
            text = first + resumed[2]
        call = _call(thread, text, began)
        if call is None:
            yield from () if text.startswith("exit") else self._cut(thread, text, began)
        elif call.name not in FORKING or call.failed or self._is_new(int(call.result.split()[0])):
            yield self._told(call)

    def _is_new(self, child: int) -> bool:
        """Take a child in; False where it was heard of before its fork returned."""
        new = child not in self._threads
        self._threads.add(child)
        return new

    def _cut(self, thread: int, text: str, began: int) -> Iterator[Call]:
        """Keep what a kill ended, and yield it where it is to be taken as done."""
        self.cut_off.append(text)
        if len(self.cut_off) - 1 in self._taken_as_done:
            yield self._told(_as_done(thread, text, began))

    def _fork_of(self, child: int) -> Call:
        """Return the fork that a child was heard of before."""
        forks = [(thread, *each) for thread, each in self._open.items() if each[0].startswith(tuple(FORKING))]
        if len(forks) != 1:
            raise TraceAgain(f"whose child process {child} is cannot be told")
        ((thread, text, began),) = forks
        name, _, args = text.partition("(")
        return Call(thread, name, tuple(_split(args)), str(child), began)

    def _told(self, call: Call) -> Call:
        self._done += 1
        return call


def unhex(text: str) -> bytes:
    r"""Return the bytes of strace's hexadecimal text (`\x61\x62`); raises Untraceable where it is cut short."""
    if text.endswith("..."):
        raise Untraceable("strace cut a string short")
    return bytes.fromhex(text.strip('"').replace("\\x", ""))


def _call(thread: int, text: str, began: int) -> Call | None:
    name, bracket, rest = text.partition("(")
    returned = _RETURNED.search(rest)
    if not bracket:
        raise Untraceable(f"cannot read what strace says: {text[:200]!r}")
    if returned is None or returned[1] == "?":  # exit, or killed in the middle of it
        return None
    return Call(thread, name, tuple(_split(rest[: returned.start()])), returned[1] + returned[2], began)


def _as_done(thread: int, text: str, began: int) -> Call:
    """Return a call that a kill cut off as if it had returned: a write all that it had, others what none reads."""
    name, _, rest = _CUT.sub("", text).partition("(")
    args = tuple(_split(rest))
    wrote = sum(len(unhex(part)) for part in _QUOTED.findall(args[1])) if "write" in name else _NOBODYS
    return Call(thread, name, args, str(wrote), began)


def _split(text: str) -> Iterator[str]:
    """Yield the arguments: what stands between the commas that are in no bracket."""
    depth, begin, at = 0, 0, 0
    while at < len(text):
        sign = text[at]
        if sign == '"':  # hexadecimal: the next quote ends it, however many megabytes on
            at = text.index('"', at + 1)
        elif sign in "[{(":
            depth += 1
        elif sign in "]})":
            depth -= 1
        elif sign == "," and depth == 0:
            yield text[begin:at].strip()
            begin = at + 1
        at += 1
    if text[begin:].strip():
        yield text[begin:].strip()
