"""What every test here shares: tools that may be missing, and one line that says what was not run."""

import functools
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from holdfast.store.backends import network
from holdfast.testing.servers.process import ServerProcess, find

# A flush of a slow disk is no bug, nor is a slow machine one of a strategy: time limits are pytest-timeout's. The same
# examples every time: no change is refused for a seed. The long form of the tests and the campaigns look for others.
hypothesis.settings.register_profile(
    "holdfast",
    deadline=None,
    derandomize=os.environ.get("HOLDFAST_HAZARDS") != "all",
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("holdfast")


MEMORY = Path("/dev/shm")
ROOM = 2**30
"""Bytes that servers may need: PostgreSQL's log of writes alone takes a quarter."""


def in_memory() -> str | None:
    """Return a folder in memory, if there is one with room: SIGKILL says nothing about the disk anyway."""
    return str(MEMORY) if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


class Patient(network.Timeouts, frozen=True):
    """Who lets a server keep back an answer says in the URL how long to wait for it; else no machine is too slow."""

    connect: float = 100.0
    read: float = 100.0
    commit: float = 100.0


def pytest_configure(config: pytest.Config) -> None:
    ServerProcess.place = in_memory()
    network.Timeouts = Patient  # type: ignore[misc]
    config.addinivalue_line("markers", "needs(*tools): skip where a tool is missing; fail in CI instead")
    config.addinivalue_line("markers", "server(*kinds): needs real servers; skip where one is not installed")
    config.addinivalue_line(
        "markers", "crash: kills processes or cuts power, simulated too; `pytest -m crash` runs only these"
    )


TRIED = ("states", "cuts", "kills", "kills in recovery", "server kills", "faults", "steps", "histories")
"""What tests count with `record_property`, and the last line but one sums up."""


@functools.cache
def usable(tool: str) -> bool:
    """Say whether a tool is installed and, for strace, allowed to trace here."""
    if tool == "strace" and shutil.which(tool):
        return (
            subprocess.run([tool, "-o", "/dev/null", "true"], check=False, capture_output=True).returncode
            == 0
        )
    return shutil.which(tool) is not None


PROGRAMS = {"redis": ["redis-server"], "postgres": ["postgres", "initdb"], "mongo": ["nx-27017"]}


@functools.cache
def serving(kind: str) -> bool:
    """Say whether the programs of a kind of server are installed."""
    return all(find(program) for program in PROGRAMS[kind])


def need_servers(*kinds: str) -> None:
    """Skip the test whose servers are not installed; fail it where HOLDFAST_REQUIRE_SERVERS is set."""
    missing = ", ".join(kind for kind in kinds if not serving(kind))
    if missing and os.environ.get("HOLDFAST_REQUIRE_SERVERS"):
        pytest.fail(f"HOLDFAST_REQUIRE_SERVERS is set, and there is no {missing} server", pytrace=False)
    if missing:
        pytest.skip(f"no {missing} server is installed (`make tools` installs it)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    need_servers(*(str(kind) for mark in item.iter_markers("server") for kind in mark.args))
    tools = [str(tool) for mark in item.iter_markers("needs") for tool in mark.args]
    missing = ", ".join(tool for tool in tools if not usable(tool))
    if missing and os.environ.get("HOLDFAST_REQUIRE_TOOLS"):
        pytest.fail(f"HOLDFAST_REQUIRE_TOOLS is set, and {missing} cannot be used", pytrace=False)
    if missing:
        pytest.skip(f"{missing} cannot be used here (`make tools` installs it)")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield  # this is to stand below all else
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    tried = Counter[str]()
    for report in (one for one in terminalreporter.getreports("") if one.when == "teardown"):
        tried.update({what: count for what, count in report.user_properties if what in TRIED})
    counts = ", ".join(f"{tried[what]:,} {what}" for what in TRIED if tried[what])
    terminalreporter.write_line(f"tried: {counts or 'nothing that is counted'}")
    listed = "; ".join(f"{count} because {reason}" for reason, count in reasons.items())
    terminalreporter.write_line(f"not run: {listed or 'nothing; every test was run'}")
