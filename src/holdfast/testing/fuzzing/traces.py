"""What the conformance kit itself reads: strace's logs, and the logs of children that were killed while they wrote."""

import re
from pathlib import Path
from typing import Final

import msgspec

from holdfast.testing.explorer.operations import ROOT, Tree
from holdfast.testing.explorer.reading import Reader
from holdfast.testing.explorer.strace import Log, Untraceable
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.samples import place
from holdfast.testing.fuzzing.target import require
from holdfast.testing.log import Line, read_log

__all__ = ("child_log", "strace_log")

CALLS: Final = """\
openat(AT_FDCWD</t>, "/t/new", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3</t/new>
pwrite64(3</t/new>, "abc", 3, 0) = 3
fdatasync(3</t/new>) = 0
renameat(AT_FDCWD</t>, "/t/new", AT_FDCWD</t>, "/t/one") = 0
fsync(4</t>) = 0
fcntl(3</t/one>, F_DUPFD_CLOEXEC, 5) = 6</t/one>
ftruncate(6</t/one>, 1) = 0
unlink("/t/one") = 0
mkdir("/t/folder", 0700) = 0
clone(child_stack=NULL, flags=CLONE_VM) = 8
write(1</marks>, "told", 4) = 4
close_range(3, 4294967295, 0) = 0
fdatasync(3</t/new> <unfinished ...>
<... fdatasync resumed>) = -1 EIO (Input/output error)
"""
SIZE: Final = re.compile(r"\d{8,}")
LINES: Final = (Line(1.5, "asked", "c1", 0), Line(2.5, "acknowledged", "c1", {"n": [1]}), Line(3.0, "ended"))


def strace_log(data: bytes) -> None:
    """A log of strace is operations of a file system, or Untraceable."""
    dice = Dice(data)
    given = damaged(dice, _hexed(CALLS).encode()).decode("ascii", errors="replace")
    given = SIZE.sub(
        lambda found: found[0][:7], given
    )  # what a file of exabytes holds is not what is asked here
    reader = Reader(Path("/t"), Tree({}, {ROOT: None}), marks=Path("/marks"), cwd="/t")
    try:
        reader.read(Log().calls(given.splitlines()))
    except Untraceable:
        return
    reader.trace((), "")


def child_log(data: bytes) -> None:
    """A child's log is the lines that it wrote whole; one that was cut short is none."""
    whole = b"".join(msgspec.json.encode(line) + b"\n" for line in LINES)
    length = Dice(data).below(len(whole) + 1)
    path = place() / "child.log"
    path.write_bytes(whole[:length])
    found = read_log(path)
    require(found == [*LINES[: whole[:length].count(b"\n")]], f"another story: {found}")


def _hexed(lines: str) -> str:
    """Return calls as strace writes them: names and paths in hexadecimal, a thread's number before each."""

    def spell(found: re.Match[str]) -> str:
        text = "".join(f"\\x{ord(letter):02x}" for letter in found[2])
        return f"{found[1]}{text}{found[3]}"

    named = re.sub(r'(")([^"]*)(")', spell, lines)
    return "".join(f"7  {line}\n" for line in re.sub(r"(<)(/[^>]*)(>)", spell, named).splitlines())
