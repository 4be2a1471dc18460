"""A campaign goes on where it was, stops at what is broken, and blames nobody for being interrupted."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast.testing.conformance.checks import Level
from holdfast.testing.conformance.examining import Report, Result
from holdfast.testing.conformance.subject import Found
from holdfast.testing.evidence import campaign, conformance
from holdfast.testing.evidence.campaign import Campaign
from holdfast.testing.evidence.child import Began, Concluded, Said, Seed, Unshown
from holdfast.testing.evidence.command import main
from holdfast.testing.evidence.ledger import Broken, Examination, Ledger, Stint
from holdfast.testing.evidence.running import Children, Died
from holdfast.testing.evidence.tables import BLOCKS
from holdfast.testing.evidence.ways import Cell
from tests.testing_evidence.test_ledger import STINT

Script = Callable[[int], Iterable[Said]]


class Scripted(Children):
    """Children that say what a test wants, two seeds a slice."""

    def said(self, *arguments: str) -> Iterator[Said]:
        _, name, _, seed, *_ = arguments
        ASKED.append(name)
        if name in SCRIPT:
            yield from SCRIPT[name](int(seed))
        elif ASKED.count(name) <= SLICES:
            yield from (done(int(seed)), done(int(seed) + 1))
        else:
            yield Unshown("it has had its turns")


SCRIPT: dict[str, Script] = {}
ASKED: list[str] = []
SLICES = 3
"""Turns of a cell in a test: then it has no more to show, so that no campaign here ends by a clock."""


def done(seed: int, *broken: str) -> Seed:
    return Seed(seed, 0.1, {"histories": 1, "histories broken": len(broken)}, broken)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "evidence.jsonl")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Script]:
    monkeypatch.setattr(campaign, "Children", Scripted)
    monkeypatch.setattr(conformance, "Children", Scripted)
    ASKED.clear()
    SCRIPT.clear()
    return SCRIPT


def ran(ledger: Ledger, *cells: str) -> None:
    ASKED.clear()
    chosen = [Cell(*cell.split(":")) for cell in cells]
    Campaign(ledger, chosen, jobs=1, tell=lambda _: None).run(60)


def test_it_goes_on_with_fresh_seeds(ledger: Ledger, script: dict[str, Script]) -> None:
    for times in (1, 2):
        ran(ledger, "histories:file")
        assert ledger.total("histories", "file")["histories"] == times * 2 * SLICES
        assert ledger.next_seed("histories", "file") == times * 2 * SLICES + 1
        assert ledger.lines(Stint)[0].seeds == f"1-{times * 2 * SLICES}"


def test_turns_are_shared_and_what_has_enough_comes_last(ledger: Ledger, script: dict[str, Script]) -> None:
    enough = {"connections reset": 100, "requests lost": 100, "answers lost": 100, "server stopped": 100}
    ledger.add(
        replace(STINT, way="network", target="redis", counts={**enough, "network slow": 100}, seconds=0.0)
    )
    ran(ledger, "network:redis", "histories:file", "kills:file")
    assert set(ASKED[:2]) == {"histories:file", "kills:file"}
    assert ASKED.index("network:redis") == len(ASKED) - SLICES - 1
    assert len(ASKED) == 3 * (SLICES + 1)


def test_what_is_broken_stops_it_and_stays(
    ledger: Ledger, script: dict[str, Script], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script["histories:file"] = lambda seed: [done(seed), done(seed + 1, "a commit was lost")]
    asked = ["campaign", "--minutes", "60", "--jobs", "1", "--only", "histories:file"]
    asked += ["--ledger", str(ledger.path), "--out", str(tmp_path), "--page", str(tmp_path / "none.md")]
    assert main(asked) == 1
    assert "play histories:file --seed 2" in capsys.readouterr().out
    [broken] = ledger.lines(Broken)
    assert (broken.said, broken.seed, broken.replay.split()[-1]) == ("a commit was lost", 2, "2")
    assert ledger.total("histories", "file")["histories broken"] == 1
    script.clear()
    ASKED.clear()
    assert main(asked) == 1  # nothing new is broken, and the old one still is
    assert ledger.next_seed("histories", "file") == 3 + 2 * SLICES


def test_a_child_that_dies_is_a_finding(ledger: Ledger, script: dict[str, Script]) -> None:
    def dies(seed: int) -> Iterator[Said]:
        yield done(seed)
        raise Died("it ended with -11")

    script["histories:file"] = dies
    ran(ledger, "histories:file")
    [broken] = ledger.lines(Broken)
    assert (broken.seed, broken.said) == (2, "it ended with -11")


def test_what_cannot_be_shown_is_said_once(ledger: Ledger, script: dict[str, Script]) -> None:
    script["simulation:bots"] = lambda _: [Unshown("it is not there")]
    ran(ledger, "simulation:bots", "kills:file")
    assert (ASKED.count("simulation:bots"), ASKED.count("kills:file")) == (1, SLICES + 1)
    assert [one.not_shown for one in ledger.lines(Stint) if one.way == "simulation"] == ["it is not there"]


def test_only_one_counts_at_a_time(ledger: Ledger, tmp_path: Path) -> None:
    from holdfast.testing.evidence.command import _alone

    with _alone(tmp_path):
        assert main(["campaign", "--minutes", "1", "--ledger", str(ledger.path), "--out", str(tmp_path)]) == 2
    assert not ledger.path.exists()


# --- the kit -------------------------------------------------------------------------------------------


def report(state: str) -> Report:
    result = Result(
        name="empty", level=Level.CORE, promise="nothing", state=state, said="why", counts={"commits": 3}  # type: ignore[arg-type]
    )  # fmt: skip
    return Report(subject="file", claims=(Level.CORE,), seed=0, found=Found(), results=(result,))


@pytest.mark.parametrize(("state", "code"), [("kept", 0), ("not shown", 0), ("broken", 1)])
def test_an_examination_is_kept(
    ledger: Ledger, script: dict[str, Script], tmp_path: Path, state: str, code: int
) -> None:
    script["file"] = lambda _: [
        Began("core", "empty"),
        Concluded(report(state), 1.0, (Level.CORE, Level.ATOMIC)),
    ]
    asked = [
        "conformance",
        "--only",
        "file",
        "--ledger",
        str(ledger.path),
        "--page",
        str(tmp_path / "none.md"),
    ]
    assert main(asked) == code
    [found] = ledger.lines(Examination)
    assert [found.levels[level] for level in ("core", "atomic", "concurrent")] == [
        state, "not shown", "not claimed"
    ]  # fmt: skip
    assert found.counts == {"commits": 3}
    assert [one.said for one in ledger.lines(Broken)] == (["empty: why"] if state == "broken" else [])


def test_a_backend_that_cannot_be_had_is_not_shown(
    ledger: Ledger, script: dict[str, Script], tmp_path: Path
) -> None:
    script["redis"] = lambda _: [Unshown("redis-server is not installed")]
    asked = [
        "conformance",
        "--only",
        "redis",
        "--ledger",
        str(ledger.path),
        "--page",
        str(tmp_path / "none.md"),
    ]
    assert main(asked) == 0
    assert ledger.lines(Examination) == []
    assert "appendfsync always`: redis-server is not installed" in BLOCKS["not-shown"](ledger)


# --- real children -------------------------------------------------------------------------------------


def test_a_real_campaign_and_a_real_examination(ledger: Ledger, tmp_path: Path) -> None:
    where = ["--ledger", str(ledger.path), "--page", str(tmp_path / "none.md"), "--out", str(tmp_path)]
    assert main(["conformance", "--only", "memory", "--quick", *where]) == 0
    assert main(["campaign", "--minutes", "0.001", "--only", "histories:file", *where]) == 0
    [found] = ledger.lines(Examination)
    assert (found.broken, found.levels["crash-safe"]) == ({}, "not claimed")
    assert found.checks["kept"] > 20
    total = ledger.total("histories", "file")
    assert total["histories"] + total["undecided"] == 1


def test_a_real_child_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(Died, match="there is no way 'nothing'"):
        list(Children().said("play", "nothing:at-all", "--seed", "1"))


def test_children_that_are_stopped_end_and_nobody_is_blamed() -> None:
    children = Children()
    told: list[Said] = []

    def listen() -> None:
        told.extend(children.said("play", "stateful:memory", "--seed", "1", "--seconds", "600"))

    listening = threading.Thread(target=listen)
    listening.start()
    deadline = time.monotonic() + 200
    while not children._running and time.monotonic() < deadline:
        time.sleep(0.005)
    children.stop()
    listening.join(200)
    assert not listening.is_alive()
    assert not children._running


def test_a_child_that_hangs_is_ended() -> None:
    with pytest.raises(Died, match="ended with -9"):
        list(Children(limit=0.05).said("play", "stateful:memory", "--seed", "1", "--seconds", "600"))
