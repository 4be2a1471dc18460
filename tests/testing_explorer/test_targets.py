"""Holdfast's own stores through every power cut of short lives, and with one idea taken out, which must be noticed."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from holdfast.errors import HoldfastError, InvalidOption
from holdfast.testing.explorer import Exploration, Trace, TraceAgain, explore, trace
from holdfast.testing.explorer import campaign as explorer
from holdfast.testing.targets import FIRST, Life, Plan, check_of, live, plan_of, target
from holdfast.testing.targets.judging import Told, settled, told
from holdfast.testing.targets.repairing import check_repaired, damage, mend
from holdfast.testing.targets.steps import Contents, timeline

SHORT = Plan("short", (Life(("commit", "batch", "checkpoint", "commit", "close")),))
KILLED = Plan(
    "killed", (Life(("commit", "commit"), kill=1, point="journal.frame-written"), Life(("commit",)))
)
RENAMED = "checkpoint.manifest-renamed"
# A manifest that was renamed, and whose name a killed process did not come to flush, is not durable yet.
NEW = Plan("new", (Life(("commit",), kill=1, point=RENAMED), Life(("commit",))))
COVERED = Plan("covered", (Life(("commit", "checkpoint"), kill=3, point=RENAMED), Life(("commit",))))


def traced(name: str, plan: Plan) -> Trace:
    for _ in range(30):  # a kill that cuts a write in two is rare, and never the rule
        with TemporaryDirectory() as folder:
            try:
                arguments = [name, folder, msgspec.json.encode(plan).decode()]
                return trace(live, *arguments, folder=Path(folder), ignore=target(name).ignore)
            except TraceAgain:
                continue
    raise AssertionError("a kill cuts off a call in every trace")


@cache
def explored(name: str, plan: Plan, most: int = 4, failures: int = 10) -> Exploration:
    check = check_of(target(name), plan.seed)
    return explore(traced(name, plan), check, most=most, until=lambda found: found.failed >= failures)


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("name", "plan"),
    [("file", FIRST), ("file", KILLED), ("file", NEW), ("file", COVERED), ("sqlite", SHORT)],
    ids=["file", "file killed", "file killed when new", "file killed in a checkpoint", "sqlite"],
)  # fmt: skip
def test_no_power_cut_breaks_a_store(
    name: str, plan: Plan, record_property: Callable[[str, object], None]
) -> None:
    found = explored(name, plan, most=18)
    record_property("states", found.states)
    assert found.failed == 0, found
    assert found.points > 40
    assert found.states > 40


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("broken", "plan", "finding"),
    [
        ("no_flush", SHORT, ""),
        ("no_folder_flush", SHORT, ""),
        ("no_first_folder", SHORT, "not as after any of commits"),
        ("no_files_flush", SHORT, "Corrupt"),
        ("trusted_at_open", KILLED, ""),
        ("trusted_names", NEW, "Corrupt"),
        ("trusted_names", COVERED, "Corrupt"),
        ("in_place", SHORT, "Corrupt"),
        ("sqlite_no_folder_flush", SHORT, ""),
        ("sqlite_normal", SHORT, "not as after any of commits"),
    ],
)
def test_a_broken_store_is_noticed(broken: str, plan: Plan, finding: str) -> None:
    found = explored(
        f"tests.testing_explorer.broken:{broken}",
        plan,
        most=24 if broken == "no_files_flush" else 10,
        failures=1,
    )
    assert found.shortest is not None
    assert any(finding in problem for problem in found.shortest.problems)


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("name", "number", "most"), [("file", 1, 2), ("sqlite", 1, 2), ("file-repair", 2, 8)]
)
def test_a_power_cut_during_recovery_breaks_nothing(
    name: str, number: int, most: int, record_property: Callable[[str, object], None]
) -> None:
    _, *recoveries = found = list(explorer.play(name, "test", number, most=most, recoveries=1))
    record_property("states", sum(each.states for each in found))
    assert [each.failed for each in found] == [0, 0], [str(each) for each in found]
    assert recoveries[0].states > 1


@pytest.mark.needs("strace")
def test_a_campaign_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["file-repair", "--seed", "s", "--out", str(tmp_path), "--most", "4", "--recoveries", "1"]
    assert explorer.main([*asked, "--states", "1"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["rounds"] == 1
    assert first["traces"] == 1 + first["recoveries"]
    assert first["states"] > first["states_in_recovery"] > 0
    assert explorer.main([*asked, "--states", str(first["states"] + 1)]) == 0
    second = json.loads((tmp_path / "explorer-file-repair-s.json").read_text())
    assert second["rounds"] == 2
    assert second["states"] > first["states"]
    assert explorer.main([*asked, "--states", "1"]) == 0  # they are there already
    assert json.loads((tmp_path / "explorer-file-repair-s.json").read_text()) == second


@pytest.mark.needs("strace")
def test_a_campaign_says_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "tests.testing_explorer.broken:no_first_folder"
    assert (
        explorer.main(
            [name, "--seed", "s", "--states", "1", "--out", str(tmp_path), "--most", "2", "--recoveries", "0"]
        )
        == 1
    )
    assert "power cut" in capsys.readouterr().out


def test_a_campaign_of_which_nothing_is_shown_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable(*_: object, **__: object) -> list[Exploration]:
        raise TraceAgain("threads ran so")

    monkeypatch.setattr(explorer, "played", unreadable)
    assert explorer.main(["file", "--seed", "s", "--out", str(tmp_path)]) == 3
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["states"], told["skipped"]) == (0, explorer.MOST_BARREN)


# --- what must be there: no strace is needed for that --------------------------------------------------


def test_told() -> None:
    assert told([]) == Told(0, 0)
    assert told(["found 0", "asked 1", "asked 2", "done 1", "something else"]) == Told(1, 2)
    assert told(["asked 1", "done 1", "asked 2", "found 1", "asked 2"]) == Told(1, 2)
    assert told(["asked 1", "asked 2", "found 1"]) == Told(1, 1)


def test_settled() -> None:
    third = timeline("x").after(3)
    assert settled(third, "x", Told(2, 4)) == (3, "")
    assert settled(third, "x", Told(3, 3)) == (3, "")
    number, wrong = settled(third, "x", Told(4, 5))
    assert number == -1
    assert "not as after any of commits 4 to 5" in wrong
    assert settled(Contents({}, {}), "x", Told(1, 2))[0] == -1


def test_plans_and_commits_follow_from_the_seed() -> None:
    assert plan_of("a", 0) == FIRST
    assert plan_of("a", 7) == plan_of("a", 7) != plan_of("b", 7)
    assert all(timeline("a").after(number) != timeline("a").after(number - 1) for number in range(1, 200))
    kinds = {type(change) for number in range(1, 40) for change in explorer_changes("a", number)}
    assert len(kinds) == 3


def explorer_changes(seed: str, number: int) -> list[object]:
    from holdfast.testing.targets.steps import changes

    assert changes(seed, number) == changes(seed, number)
    return list(changes(seed, number))


def test_a_life_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("in the way")
    with pytest.raises(HoldfastError, match="ended with 1"):
        live("file", str(tmp_path), msgspec.json.encode(SHORT).decode())


def test_targets_by_name_and_url() -> None:
    store = target("sqlite:///{folder}/state.db").make("/nowhere")
    assert (store.url, target("sqlite:///{folder}/state.db").ignore) == (
        "sqlite:////nowhere/state.db",
        ("*-shm",),
    )
    for name in ("fil", "json:loads"):
        with pytest.raises(InvalidOption):
            target(name)


@pytest.mark.parametrize("seed", range(6))
def test_repair_and_its_control(seed: int, tmp_path: Path) -> None:
    damaged = damage(str(tmp_path), f"repair {seed}")
    assert check_repaired(damaged)(tmp_path, []) == []
    mend(str(tmp_path))
    more = msgspec.structs.replace(damaged, commits=damaged.commits + 1)
    assert check_repaired(more)(tmp_path, []) != []
