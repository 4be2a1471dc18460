"""Ways that are programs of their own: the simulation, fuzzing, and the tests that are negative controls.

A program ends with one JSON object on its last line, whose whole numbers are counts, and with exit code 1 where
something is broken. One that is not installed shows nothing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.versions import ROOT
from holdfast.testing.evidence.ways import Found, Play

__all__ = ("CONTROLS", "controls", "fuzzing", "ran", "simulation")

RUNS: Final = 200
MINUTES: Final = 0.3
SHOWN: Final = 3_000
CONTROLS: Final = (
    "tests/testing_conformance/test_liars.py",
    "tests/testing_explorer/test_designs.py::test_designs",
    "tests/testing_explorer/test_designs.py::test_a_wrong_model_is_noticed",
    "tests/testing_explorer/test_targets.py::test_a_broken_store_is_noticed",
    "tests/crash/test_controls.py",
)
"""Tests each of which passes only where something broken is noticed."""


@contextmanager
def simulation(_: str) -> Iterator[Play]:
    """Yield what simulates some runs from a seed."""
    module = _installed("holdfast.testing.simulation")
    yield lambda seed: ran([module, "--seed", str(seed * RUNS), "--runs", str(RUNS)], zero="runs broken")


@contextmanager
def fuzzing(target: str) -> Iterator[Play]:
    """Yield what fuzzes a target, or all of them by turns."""
    module = _installed("holdfast.testing.fuzzing")
    yield lambda seed: ran(
        [module, target, "--minutes", f"{MINUTES:g}", "--seed", str(seed)], zero="targets broken"
    )


def _installed(module: str) -> str:
    if find_spec(f"{module}.__main__") is None:
        raise NotShown(f"this version has no {module}")
    return module


def ran(arguments: Sequence[str], *, zero: str) -> Found:
    """Return what `python -m` with these arguments said; `zero` counts whether it found anything broken."""
    done = subprocess.run(  # noqa: S603  # this interpreter, our own modules
        [sys.executable, "-m", *arguments], check=False, capture_output=True, text=True
    )
    counts = {name: value for name, value in _last(done.stdout).items() if type(value) is int}
    for name in ("seed", "runs" if zero in counts else ""):
        counts.pop(name, None)
    if done.returncode == 0:
        return Found({**counts, zero: 0})
    said = f"python -m {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return Found({**counts, zero: 1}, (said[-SHOWN:],))


def _last(output: str) -> Mapping[str, Any]:
    """Return the JSON object that is the last line; nothing where it is none."""
    lines = output.strip().splitlines()
    try:
        found = msgspec.json.decode(lines[-1]) if lines else {}
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def controls(_: str) -> Iterator[Play]:
    """Yield what runs the negative controls among the tests, where they are."""
    files = [name for name in CONTROLS if (ROOT / name.partition("::")[0]).exists()]
    if not files or find_spec("pytest") is None:
        raise NotShown("the tests are not here")
    yield lambda _: _tested(files)


def _tested(files: Sequence[str]) -> Found:
    with tempfile.TemporaryDirectory(prefix="holdfast-controls-") as folder:
        report = Path(folder, "report.xml")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *files,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
        if not report.exists():
            return Found({}, (f"pytest ended with {done.returncode}: {done.stdout[-SHOWN:]}",))
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314  # pytest has written it
    missed = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    skipped = sum(one.find("skipped") is not None for one in cases)
    counts = {
        "runs": 1, "noticed": len(cases) - len(missed) - skipped, "skipped": skipped, "not noticed": len(missed),
    }  # fmt: skip
    return Found(counts, tuple(f"not noticed: {one.get('classname')} {one.get('name')}" for one in missed))
