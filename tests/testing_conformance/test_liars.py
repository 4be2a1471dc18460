"""Each liar is caught by the level that owns its idea, and passes the others: else a check would prove nothing."""

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from holdfast.testing.conformance import Bench, Level, Pace, Report, Result, Subject, all_checks, examine
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.conformance.subject import IN_MEMORY
from holdfast.testing.servers.redis import RedisServer
from tests.testing_conformance import liars
from tests.testing_conformance.forgetful import replica_of

PACE = Pace(times=0.5, limit=60.0)
LIARS = "tests.testing_conformance.liars"
FORGETFUL = "tests.testing_conformance.forgetful"
KILLED = (*IN_MEMORY, Level.CRASH_SAFE)


class Lie(NamedTuple):
    """What is told, who owns it, which check must catch it, and which levels above cannot but see it too."""

    kind: str
    level: Level
    caught: str
    on: str = "memory"
    also: frozenset[Level] = frozenset()


# A bank under load, which others kill, loses money by itself where expectations do not hold.
BANK = frozenset({Level.CRASH_SAFE})

LIES = [
    Lie("IgnoresExpectations", Level.CORE, "expectations", also=frozenset({Level.ATOMIC, Level.CONCURRENT})),
    Lie("WrongOrder", Level.CORE, "scan-order"),
    Lie("WholeFloats", Level.CORE, "hard-values", also=frozenset({Level.CONCURRENT})),
    Lie("Tuples", Level.CORE, "refused-values"),
    Lie("NanToNone", Level.CORE, "refused-values"),
    Lie("Torn", Level.ATOMIC, "seen-whole", also=frozenset({Level.CONCURRENT})),
    Lie("Dirty", Level.ATOMIC, "refused-unseen", also=frozenset({Level.CONCURRENT})),
    Lie("CacheFirst", Level.ATOMIC, "refused-unseen"),
    Lie("LooksFirst", Level.CONCURRENT, "one-wins", on="sqlite", also=BANK),
    Lie("ChecksFirst", Level.CONCURRENT, "checks-hold", on="sqlite", also=BANK),
    Lie("StaleCache", Level.CONCURRENT, "seen-by-others", on="sqlite"),
    Lie("OffByOne", Level.CONCURRENT, "cancelled-commits"),
    Lie("AcknowledgesFirst", Level.CRASH_SAFE, "methods-killed", on="adapter"),
    Lie("InPlace", Level.CRASH_SAFE, "methods-killed-before-calls", on="adapter"),
    Lie("DeletesCorrupt", Level.CRASH_SAFE, "methods-killed-before-calls", on="adapter"),
    Lie("Forgetful", Level.CRASH_SAFE, "replica-catches-up", on="replica"),
    Lie("FixedTemporary", Level.CRASH_SAFE, "methods-killed-before-calls", on="adapter"),
]


def subject_for(lie: Lie, folder: Path) -> Subject:
    place = folder / secrets.token_hex(4)
    place.mkdir()
    if lie.on == "memory":
        return Subject.of_factory(liars.in_memory(lie.kind), name=lie.kind, claims=IN_MEMORY, keeps=False)
    if lie.on == "adapter":
        return subject_of(f"{LIARS}:{lie.kind}", base_dir=str(place), claims=KILLED)
    if lie.on == "replica":
        replica = partial(replica_of, str(place))
        arguments = {"folder": str(place)}
        return Subject.of_call(
            f"{FORGETFUL}:forgetful", arguments, name=lie.kind, claims=KILLED, replica=replica
        )
    arguments = {"kind": lie.kind, "folder": str(place)}
    return Subject.of_call(f"{LIARS}:on_sqlite", arguments, name=lie.kind, claims=KILLED)


ODDITIES = ("big-values", "long-streams", "many-changes", "many-ids", "many-seen-whole")
"""What test_oddities has liars for."""


def quick(lie: Lie) -> list[str]:
    """Return the checks to be made, without those that take long where another one looks at the same."""
    long = {
        "memory": (),
        "sqlite": ("stateful", "killed-at-points", "killed-before-calls", "increments-of-processes"),
        "adapter": (
            "one-at-a-time",
            "names-apart",
            "scan-pages",
            "scan-while-changing",
            "streams",
            "stateful",
            "killed-at-points",
            "killed-before-calls",
            "killed-at-random",
        ),
    }
    left_out = long["sqlite" if lie.on == "replica" else lie.on]
    return [
        one.name for one in all_checks() if one.name == lie.caught or one.name not in (*left_out, *ODDITIES)
    ]


def examined(subject: Subject, bench: Bench, **options: Any) -> Report:
    def tell(result: Result) -> None:
        if result.state == "broken":
            print(f"{result.level} {result.name}: {result.said[:300]}", *result.history, sep="\n    ")

    return examine(subject, bench=bench, pace=PACE, seed=7, tell=tell, **options)


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.parametrize("lie", LIES, ids=[lie.kind for lie in LIES])
def test_a_liar_is_caught_by_the_level_that_owns_the_lie(lie: Lie, bench: Bench, quick_folder: Path) -> None:
    report = examined(subject_for(lie, quick_folder), bench, only=quick(lie))
    broken = {level for level in report.claims if report.level(level) == "broken"}
    assert lie.caught in [result.name for result in report.broken]
    assert lie.level in broken
    assert broken <= {lie.level, *lie.also}
    assert not report.sound


@pytest.mark.crash
@pytest.mark.parametrize("on", ["memory", "sqlite", "adapter"])
def test_what_the_liars_are_made_of_tells_no_lie(on: str, bench: Bench, quick_folder: Path) -> None:
    """The control: the same, without the idea that was changed."""
    kind = {"memory": "Serial", "sqlite": "Wrapper", "adapter": "FourMethods"}[on]
    lie = Lie(kind, Level.CORE, "", on=on)
    report = examined(subject_for(lie, quick_folder), bench, only=quick(lie))
    assert not report.broken
    assert report.sound == (on != "memory")


@pytest.mark.crash
def test_a_replica_that_remembers_what_it_is_owed_is_believed(bench: Bench, quick_folder: Path) -> None:
    place = quick_folder / secrets.token_hex(4)
    url = f"sqlite:///{place}/state.db?replica=" + quote(f"sqlite:///{place}/replica.db", safe="")
    (result,) = examined(Subject.of_url(url, claims=KILLED), bench, only=["replica-catches-up"]).results
    assert result.state == "kept"


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.parametrize("kind", ["Durable", "NoFlush", "NoFolderFlush", "NoParentFlush"])
def test_a_missing_flush_is_caught_by_power_safe(kind: str, bench: Bench, quick_folder: Path) -> None:
    subject = subject_of(f"{LIARS}:{kind}", base_dir=str(quick_folder / kind))
    report = examined(subject, bench, levels=[Level.POWER_SAFE], only=["power-lost"])
    assert report.level(Level.POWER_SAFE) == ("kept" if kind == "Durable" else "broken")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.server("redis")
def test_a_lost_answer_that_is_asked_for_again_under_another_id(bench: Bench, redis: RedisServer) -> None:
    def subject(kind: str) -> Subject:
        arguments = {"kind": kind, "url": redis.url}
        return Subject.of_call(f"{LIARS}:on_url", arguments, claims=[Level.CONCURRENT], server=redis)

    assert not examined(subject("Wrapper"), bench, only=["lost-answers", "linear-keys"]).broken
    (caught,) = examined(subject("FreshIds"), bench, only=["lost-answers", "linear-keys"]).broken
    assert caught.name == "lost-answers"
