"""The engine for long campaigns: atheris, led by which branches of Holdfast an input has reached.

It is a process of its own (`python -m holdfast.testing.fuzzing.led TARGET …`), for libFuzzer ends the one it runs in.
What breaks a promise is written down and passed by from then on; a hang, or memory without an end, ends the process,
and the input that did it is what libFuzzer leaves behind.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast.errors import HoldfastError
from holdfast.testing.fuzzing.target import Crash, Target, crash_of, target_of

__all__ = ("HOW", "Lap", "NotThere", "led", "main")

HOW: Final = (
    "atheris is not installed here: `make fuzz` makes an environment that has it, or `pip install atheris`"
)
HANGS: Final = 60
MEGABYTES: Final = 2_048
LONGEST: Final = 1_000
FOUND: Final = "@@found "

_LINE: Final = re.compile(r"#(\d+)\s+\w+.*?cov: (\d+) ft: (\d+) corp: (\d+)")
_RUNS: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_LEFT: Final = re.compile(r"Test unit written to (\S+)")


class NotThere(HoldfastError):
    """atheris is not installed; the message says how to get it."""


class Lap(Struct):
    """What a process has done so far: inputs, branches reached, inputs worth keeping, and what it found last."""

    inputs: int = 0
    branches: int = 0
    corpus: int = 0
    crash: Crash | None = None


def led(target: Target, *, seconds: float, number: int, known: frozenset[str], corpus: Path) -> Iterator[Lap]:
    """Fuzz for so long in a process of its own; yield what it has done as it says so, and each crash as it is found.

    Inputs that reached something new stay in the folder `corpus`, where a later run goes on from. Raises NotThere.
    """
    if find_spec("atheris") is None:
        raise NotThere(HOW)
    corpus.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")  # noqa: S108  # kept apart by its name, and removed
    with tempfile.TemporaryDirectory(
        prefix="holdfast-led-", dir=memory if memory.is_dir() else None
    ) as scratch:
        command = [sys.executable, "-m", __name__, target.name, str(corpus), f"{scratch}/left-"]
        command += [f"-max_total_time={max(int(seconds), 1)}", f"-seed={number + 1}"]
        told = "\n".join(sorted(known))
        environment = {**os.environ, "TMPDIR": scratch, "HOLDFAST_FUZZ_KNOWN": told}
        with subprocess.Popen(  # noqa: S603  # ourselves
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
        ) as child:
            yield from _followed(target, child)


def _followed(target: Target, child: "subprocess.Popen[str]") -> Iterator[Lap]:
    lap, last = Lap(), ""
    assert child.stderr is not None
    try:
        for line in child.stderr:
            last = line if line.strip() else last
            news = _heard(target, lap, line)
            if news:
                yield lap
                lap.crash = None
        child.wait()
        if child.returncode and lap.inputs == 0:
            lap.crash = Crash(b"", "did not start", last)
            yield lap
    finally:
        if child.poll() is None:
            child.kill()


def _hangs(target: Target, path: Path) -> bool:
    """Whether an input that took too long takes as long again, in a process of its own."""
    again = [sys.executable, "-m", "holdfast.testing.fuzzing", "--replay", str(path), target.name]
    try:
        subprocess.run(again, check=False, capture_output=True, timeout=HANGS)  # noqa: S603  # ourselves
    except subprocess.TimeoutExpired:
        return True
    return False


def _heard(target: Target, lap: Lap, line: str) -> bool:
    """Take note of what a process says; whether that is news."""
    if line.startswith(FOUND):
        lap.crash = msgspec.json.decode(line.removeprefix(FOUND), type=Crash)
        return True
    if left := _LEFT.search(line):
        why = Path(left[1]).name.removeprefix("left-").partition("-")[0]
        if why == "timeout" and not _hangs(target, Path(left[1])):
            return False  # the machine was busy, and not the target
        what = f"{why} (no answer in {HANGS} s, or more than {MEGABYTES} MB, or a signal)"
        lap.crash = Crash(Path(left[1]).read_bytes(), what, line)
        return True
    if (said := _LINE.search(line)) is not None:
        lap.inputs, lap.branches, lap.corpus = int(said[1]), int(said[2]), int(said[4])
        return True
    if (runs := _RUNS.search(line)) is not None:
        lap.inputs = int(runs[1])
        return True
    return False


def main(argv: Sequence[str]) -> None:
    """Fuzz one target in this process, until libFuzzer ends it."""
    name, corpus, left, *options = argv
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["holdfast"], enable_loader_override=False):
        target = target_of(name)
        target.run(b"")  # imports whatever it imports late
    known = set(os.environ.get("HOLDFAST_FUZZ_KNOWN", "").split("\n"))

    def attempt(data: bytes) -> None:
        crash = crash_of(target, data)
        if crash is not None and crash.kind not in known:
            known.add(crash.kind)
            sys.stderr.write(f"{FOUND}{msgspec.json.encode(crash).decode()}\n")
            sys.stderr.flush()

    limits = [
        f"-timeout={HANGS}",
        f"-report_slow_units={HANGS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={left}",
    ]
    arguments = [sys.argv[0], *limits, "-print_final_stats=1", "-len_control=20", *options, corpus]
    atheris.Setup(arguments, attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
