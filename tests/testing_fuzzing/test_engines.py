"""The engines and the campaign: readers with a bug are found by both, and what is found can be played again."""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import combinations, islice
from pathlib import Path

import msgspec
import pytest

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.ledger import Broken, Ledger
from holdfast.testing.fuzzing import CONTROLS, PromiseBroken, Target, campaign, crash_of, examined, target_of
from holdfast.testing.fuzzing.campaign import Tally, main, noticed
from holdfast.testing.fuzzing.controls import right
from holdfast.testing.fuzzing.led import Lap, NotThere, _heard
from holdfast.testing.fuzzing.spraying import spray, sprayed

RAW = CONTROLS["raw"]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_reader_with_a_bug_is_found(name: str) -> None:
    crash = examined(target_of(CONTROLS[name]), examples=500, number=1)
    assert crash is not None
    again = crash_of(target_of(CONTROLS[name]), crash.data)
    assert again is not None
    assert again.kind == crash.kind


def test_a_reader_without_one_is_not_accused() -> None:
    assert examined(Target("right", right), examples=300, number=1) is None


@pytest.mark.parametrize("name", CONTROLS)
def test_atheris_finds_a_reader_with_a_bug_or_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    if find_spec("atheris") is not None:
        assert noticed(name, engine="atheris", corpus=tmp_path)
        return
    with pytest.raises(NotThere, match="make fuzz"):
        noticed(name, engine="atheris", corpus=tmp_path)


@pytest.mark.parametrize("name", CONTROLS)
def test_chance_finds_a_reader_with_a_bug_and_cuts_what_it_found_short(name: str) -> None:
    target = target_of(CONTROLS[name])
    fed, crash = sprayed(target, number=1, most=20_000)
    assert crash is not None
    assert 1 < fed < 20_000
    again = crash_of(target, crash.data)
    assert again is not None
    assert again.kind == crash.kind
    shorter = crash_of(target, crash.data[:-1])
    assert shorter is None or shorter.kind != crash.kind


def test_chance_is_the_same_for_the_same_number() -> None:
    once, twice, other = (list(islice(spray(number), 50)) for number in (1, 1, 2))
    assert once == twice != other
    assert once[0] == b""
    assert sprayed(Target("right", right), number=1, most=300) == (300, None)
    assert sprayed(Target("right", right), number=1, seconds=0.0) == (1, None)


def test_a_crash_can_be_written_down_whatever_its_message_holds() -> None:
    def surrogate(_: bytes) -> None:
        raise PromiseBroken("\udcff: odd")

    crash = crash_of(Target("odd", surrogate), b"")
    assert crash is not None
    assert b"odd" in msgspec.json.encode(crash)


def test_an_input_that_only_a_busy_machine_made_late_is_no_finding(tmp_path: Path) -> None:
    late = tmp_path / "left-timeout-1"
    late.write_bytes(b"")
    lap = Lap()
    assert not _heard(target_of("times"), lap, f"Test unit written to {late}\n")
    assert lap.crash is None
    late.rename(tmp_path / "left-oom-1")
    assert _heard(target_of("times"), lap, f"Test unit written to {tmp_path}/left-oom-1\n")
    assert lap.crash is not None


def test_a_kind_that_is_known_is_passed_by() -> None:
    target, known = target_of(RAW), frozenset[str]()
    while crash := examined(target, examples=200, number=1, known=known):
        assert crash.kind not in known
        known |= {crash.kind}
    assert any(kind.startswith("KeyError") for kind in known)


def test_a_campaign_goes_on_and_what_it_found_is_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [RAW, "--minutes", "0.001", "--out", str(tmp_path)]
    assert main(asked) == main(asked) == 1
    (kept,) = tmp_path.glob("fuzz-hypothesis-*.json")
    tally = msgspec.json.decode(kept.read_bytes(), type=Tally)
    assert tally.laps == 2
    assert tally.inputs >= 400
    path = next(iter(tally.crashes.values()))
    assert f"--replay {path} {RAW}" in capsys.readouterr().out
    assert main(["--replay", path, RAW]) == 1
    assert "Traceback" in capsys.readouterr().out
    Path(path).write_bytes(b"")
    assert main(["--replay", path, RAW]) == 0


@pytest.mark.parametrize(("engine", "name"), [("chance", "rained"), ("hypothesis", "guessed")])
def test_a_lap_of_hours_repeats_nothing_of_the_others(
    engine: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round takes the next number: laps, and seeds, that began near each other would feed the same again."""
    begun: list[int] = []

    def recorded(*_: object, number: int, **__: object) -> Iterator[tuple[int, None]]:
        begun.append(number)
        yield 1, None

    monkeypatch.setattr(campaign, name, recorded)
    for seed in (1, 1, 2):
        main(["times", "--engine", engine, "--seed", str(seed), "--minutes", "1", "--out", str(tmp_path)])
    assert min(abs(one - other) for one, other in combinations(begun, 2)) > 100_000


def test_what_is_fed_is_counted_into_the_ledger_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "evidence.jsonl")
    asked = [RAW, "times", "--minutes", "0.001", "--out", str(tmp_path)]
    assert main([*asked, "--ledger", str(ledger.path)]) == main([*asked, "--ledger", str(ledger.path)]) == 1
    tallies = [msgspec.json.decode(kept.read_bytes(), type=Tally) for kept in tmp_path.glob("fuzz-*.json")]
    total = ledger.total("fuzzing", "all")
    assert total["inputs"] == sum(tally.inputs for tally in tallies) >= 800
    assert total["crashes"] == len(ledger.lines(Broken)) == sum(len(tally.crashes) for tally in tallies) > 0
    assert all(RAW in broken.replay for broken in ledger.lines(Broken))


def test_what_cannot_run_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["nothing", "--out", str(tmp_path)]) == 2
    assert "there is no target 'nothing'" in capsys.readouterr().out
    with pytest.raises(InvalidOption):
        target_of("nothing")
    assert main(["--list"]) == 0
    assert "file.repaired" in capsys.readouterr().out
