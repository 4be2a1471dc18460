"""Fault-tolerant, and power-safe where there is a server: liars are caught, Holdfast's own backends are not."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing import powercut
from holdfast.testing.conformance import Bench, Level, Pace, Report, Result, Subject, all_checks, examine
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.conformance.subject import address_of
from holdfast.testing.powercut import NoDisk
from holdfast.testing.powercut.room import MemoryDisk
from holdfast.testing.servers.redis import RedisServer

FAULTY = "tests.testing_conformance.faulty"
DURABLE = "tests.testing_conformance.liars:Durable"
FAULTS = [Level.FAULT_TOLERANT]
OTHERS = ("methods", "methods-whole", "methods-cancelled")
"""Checks of levels that a liar is to pass, those that are quickly made."""

FLUSH = ["flush-failed"]
SHORT = Pace(times=0.25, limit=60.0)
LONGER = Pace(times=3.0, limit=60.0)


def examined(subject: Subject, bench: Bench, *only: str, pace: Pace = SHORT, seed: int = 4) -> Report:
    def tell(result: Result) -> None:
        if result.state != "kept":
            print(
                f"{result.level} {result.name} {result.state}: {result.said[:300]}",
                *result.history,
                sep="\n    ",
            )

    return examine(subject, only=only, bench=bench, pace=pace, seed=seed, tell=tell)


def broken(report: Report) -> list[str]:
    return [result.name for result in report.broken]


@pytest.fixture(scope="session")
def small_disks() -> None:
    """Disks that can be made full."""
    try:
        with MemoryDisk():
            pass
    except NoDisk as error:
        pytest.skip(f"no small disk can be mounted: {error}")


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("adapter", "caught"), [(DURABLE, []), (f"{FAULTY}:RetriesFlush", FLUSH), (f"{FAULTY}:ReadsBack", FLUSH)]
)
def test_what_a_failed_flush_was_to_keep_is_lost(
    adapter: str, caught: list[str], bench: Bench, tmp_path: Path
) -> None:
    subject = subject_of(adapter, base_dir=str(tmp_path), claims=[Level.POWER_SAFE, *FAULTS])
    report = examined(subject, bench, *FLUSH, pace=LONGER if caught else SHORT)
    assert broken(report) == caught


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("kind", "caught"),
    [
        ("WritesOnce", "writes-cut-short"),
        ("Swallows", "calls-refused"),
        ("FullIsFine", "disk-full"),
        ("TearsWhenFull", "disk-full"),
    ],
)
@pytest.mark.usefixtures("small_disks")
def test_what_could_not_be_written(kind: str, caught: str, bench: Bench, quick_folder: Path) -> None:
    subject = subject_of(f"{FAULTY}:{kind}", base_dir=str(quick_folder / kind))
    assert broken(examined(subject, bench, *OTHERS)) == []
    seed = 1 if kind == "Swallows" else 4  # what is swallowed matters soon
    assert broken(examined(subject, bench, caught, pace=LONGER, seed=seed)) == [caught]


KEPT = {
    "file": ("calls-refused", "flush-failed", "disk-full"),
    "sqlite": ("calls-refused", "disk-full", "no-more-files"),
    "adapter": ("no-files-left", "writes-cut-short", "disk-full"),
}
"""All of them on each are `holdfast conform`'s."""


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.parametrize("target", KEPT)
@pytest.mark.usefixtures("small_disks")
def test_stores_in_folders(target: str, bench: Bench, tmp_path: Path) -> None:
    report = examine(
        stored(target, tmp_path), levels=FAULTS, only=KEPT[target], bench=bench, pace=SHORT, seed=7
    )
    assert {result.name: result.state for result in report.results} == dict.fromkeys(KEPT[target], "kept"), (
        report
    )
    counts = Counter(name for result in report.results for name, count in result.counts.items() if count)
    assert counts["faults"] or counts["limits"]
    assert counts["refused"]


def small_file(place: str) -> Subject:
    """A file store whose segments are small: there is much less to trace."""
    call = f"{FAULTY}:small_file"

    def at(folder: str) -> str:
        return address_of(call, {"folder": f"{folder}/made", "namespace": "default"})

    return Subject.of_call(call, {"folder": place}, at_folder=at)


def stored(target: str, place: Path) -> Subject:
    urls = {
        "file": f"file:{place}/data",
        "sqlite": f"sqlite:///{place}/state.db",
        "adapter": f"adapter:{place}",
    }
    return Subject.of_url(urls[target])


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def served(kind: str, redis: RedisServer, *claims: Level) -> Subject:
    arguments = {"kind": kind, "url": redis.url}
    return Subject.of_call(f"{FAULTY}:on_url", arguments, claims=[*claims, *FAULTS], server=redis, name=kind)


@pytest.mark.server("redis")
@pytest.mark.crash
@pytest.mark.needs("strace")
def test_a_store_on_a_server(bench: Bench, redis: RedisServer) -> None:
    subject = Subject.of_url(redis.url, server=redis)
    checks = ("calls-refused", "no-files-left", "connections-cut", "server-hung", "server-slow")
    report = examine(subject, levels=FAULTS, only=checks, bench=bench, pace=SHORT, seed=7)
    assert [result.name for result in report.results if result.state == "kept"] == sorted(
        checks, key=order
    ), report


def order(name: str) -> int:
    return [one.name for one in all_checks(Level.FAULT_TOLERANT)].index(name)


@pytest.mark.server("redis")
@pytest.mark.parametrize(
    ("kind", "check", "limit"),
    [
        ("NeverGivesUp", "server-hung", 12.0),
        ("SilenceIsConsent", "server-slow", 60.0),
        ("SureOfIt", "refused-for-certain", 60.0),
    ],
)
def test_a_server_that_does_not_answer(
    kind: str, check: str, limit: float, bench: Bench, redis: RedisServer
) -> None:
    pace = Pace(times=0.25, limit=limit)
    assert broken(examined(served("Wrapper", redis), bench, check)) == []
    assert broken(examined(served(kind, redis), bench, check, pace=pace)) == [check]


@pytest.mark.server("redis")
@pytest.mark.parametrize(("flushes", "state"), [("always", "kept"), ("no", "broken")])
def test_a_server_whose_power_is_cut(flushes: str, state: str, bench: Bench) -> None:
    for file_system in powercut.FILE_SYSTEMS:
        if why := powercut.missing(file_system):
            pytest.skip(f"power cannot be cut on {file_system}: {why}")
    with RedisServer(appendfsync=flushes) as server:
        subject = Subject.of_url(server.url, claims=[Level.POWER_SAFE], server=server)
        report = examined(subject, bench, "server-power-cut")
    assert report.level(Level.POWER_SAFE) == state
