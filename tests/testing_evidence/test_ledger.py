"""The ledger adds up what is alike, replaces what is newer, and forgets nothing by itself."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.ledger import Broken, Examination, Ledger, Line, Machine, Stint
from holdfast.testing.evidence.seeds import joined, newest, spelled
from holdfast.testing.evidence.versions import holdfast_version, machine

STINT = Stint(
    way="histories", target="file", holdfast="abc", date="2026-11-23", machine="m", seeds="1", seconds=1.5,
    counts={"histories": 1, "histories broken": 0},
)  # fmt: skip
BROKEN = Broken(
    way="histories", target="file", seed=7, said="no", replay="again", holdfast="abc", date="2026-11-23", machine="m"
)  # fmt: skip
EXAMINATION = Examination(
    backend="file", levels={"core": "kept"}, checks={"kept": 2}, counts={"steps": 5}, not_shown={}, broken={},
    durability="POWER_LOSS", real=True, pace="quick", seed=0, seconds=1.0, holdfast="abc", date="2026-11-23",
    machine="m",
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "docs" / "evidence.jsonl")


def test_what_is_alike_adds_up(ledger: Ledger) -> None:
    assert ledger.next_seed("histories", "file") == 1
    for seed in (1, 2, 5):
        ledger.add(replace(STINT, seeds=str(seed)))
    ledger.add(replace(STINT, holdfast="def", seeds="6-8", counts={"histories": 3, "undecided": 1}))
    ledger.add(replace(STINT, target="redis"))
    [first, second, _] = ledger.lines(Stint)
    assert (first.seeds, first.seconds, first.counts) == (
        "1-2,5",
        4.5,
        {"histories": 3, "histories broken": 0},
    )
    assert second.holdfast == "def"
    assert ledger.total("histories", "file") == {
        "histories": 6, "histories broken": 0, "undecided": 1, "seconds": 6
    }  # fmt: skip
    assert ledger.next_seed("histories", "file") == 9


def test_what_is_broken_stays(ledger: Ledger) -> None:
    ledger.add(STINT, BROKEN)
    ledger.add(replace(STINT, seeds="9"), replace(BROKEN, said="another"))
    assert [one.said for one in ledger.lines(Broken)] == ["another", "no"]
    assert ledger.next_seed("histories", "file") == 10
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(line for line in lines if not line.startswith('{"line":"broken"')))
    assert ledger.lines(Broken) == []  # a person has taken them off
    assert ledger.total("histories", "file")["histories"] == 2


def test_why_nothing_was_shown_goes_once_something_is(ledger: Ledger) -> None:
    ledger.add(replace(STINT, seeds="", counts={}, not_shown="no strace"))
    assert [one.not_shown for one in ledger.lines(Stint)] == ["no strace"]
    ledger.add(STINT)
    assert [one.not_shown for one in ledger.lines(Stint)] == [""]


def test_the_newest_examination_of_a_backend_stands(ledger: Ledger) -> None:
    ledger.add(EXAMINATION, replace(EXAMINATION, backend="redis"))
    ledger.add(replace(EXAMINATION, levels={"core": "broken"}))
    assert [(one.backend, one.levels) for one in ledger.lines(Examination)] == [
        ("file", {"core": "broken"}), ("redis", {"core": "kept"})
    ]  # fmt: skip


def test_a_line_is_one_json_document_and_the_order_is_always_the_same(ledger: Ledger) -> None:
    lines: list[Line] = [BROKEN, replace(STINT, way="kills"), STINT, EXAMINATION, machine()]
    ledger.add(*lines)
    text = ledger.path.read_text()
    assert [json.loads(line)["line"] for line in text.splitlines()] == [
        "machine", "examination", "stint", "stint", "broken"
    ]  # fmt: skip
    other = Ledger(ledger.path.with_name("other.jsonl"))
    other.add(*reversed(lines))
    assert other.path.read_text() == text


def test_nothing_is_lost_between_two_that_add_at_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: Ledger(ledger.path).add(replace(STINT, seeds=str(seed))), range(1, 41)))
    assert ledger.total("histories", "file")["histories"] == 40
    assert ledger.lines(Stint)[0].seeds == "1-40"


def test_what_is_no_ledger_is_refused_and_stays(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_text('{"line":"stint","way":"histor\n')
    with pytest.raises(InvalidOption, match="is no ledger"):
        ledger.add(STINT)
    assert ledger.path.read_text() == '{"line":"stint","way":"histor\n'


def test_seeds() -> None:
    assert spelled([3, 1, 2, 7, 9, 8, 8]) == "1-3,7-9"
    assert joined("1-3,9", "4") == "1-4,9"
    assert joined("", "") == ""
    assert (newest("1-40,57"), newest("")) == (57, 0)


def test_versions() -> None:
    found = machine()
    assert isinstance(found, Machine)
    assert found == machine()
    assert found.python.startswith("CPython 3.")
    assert holdfast_version()
