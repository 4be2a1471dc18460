"""The negative controls among the tests: each passes only where something that is broken is noticed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.versions import ROOT
from holdfast.testing.evidence.ways import Found, Play

__all__ = ("TESTS", "controls", "heard", "ran")

SHOWN: Final = 3_000
TESTS: Final = (
    "tests/testing_conformance/test_liars.py",
    "tests/testing_explorer/test_designs.py::test_designs",
    "tests/testing_explorer/test_designs.py::test_a_wrong_model_is_noticed",
    "tests/testing_explorer/test_targets.py::test_a_broken_store_is_noticed",
    "tests/testing_evidence/test_plays.py::test_a_history_of_a_liar",
    "tests/testing_evidence/test_plays.py::test_networks_that_lose_requests_and_a_store_that_hopes",
    "tests/crash/test_controls.py",
)


@contextmanager
def controls(_: str) -> Iterator[Play]:
    """Yield what runs them, where they are."""
    found = [name for name in TESTS if (ROOT / name.partition("::")[0]).exists()]
    if not found or find_spec("pytest") is None:
        raise NotShown("the tests are not here")
    yield lambda _: ran(found)


def ran(tests: Sequence[str]) -> Found:
    """Return how many of these tests passed, each a broken design that was noticed."""
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
            *tests,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
        return heard(report.read_text() if report.exists() else "<none/>", done.stdout[-SHOWN:])


def heard(report: str, said: str) -> Found:
    """Return what a report of pytest (JUnit XML) says, with what pytest said where a control was missed."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))  # noqa: S314  # pytest has written it
    missed = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    skipped = sum(one.find("skipped") is not None for one in cases)
    if not cases:
        return Found({"not noticed": 1}, (f"no test was run: {said}",))
    counts = {
        "runs": 1, "noticed": len(cases) - len(missed) - skipped, "skipped": skipped, "not noticed": len(missed),
    }  # fmt: skip
    broken = [f"not noticed: {one.get('classname')} {one.get('name')}" for one in missed]
    return Found(counts, (*broken, said) if broken else ())
