"""The page says what the ledger does, and nothing else in numbers."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.backends import BACKENDS
from holdfast.testing.evidence.command import main
from holdfast.testing.evidence.goals import GOALS, is_reached
from holdfast.testing.evidence.ledger import Ledger, Stint
from holdfast.testing.evidence.page import is_current, rewritten
from holdfast.testing.evidence.tables import BLOCKS
from holdfast.testing.evidence.ways import PLAYS, WAYS, Cell, cells
from tests.testing_evidence.test_ledger import BROKEN, EXAMINATION, STINT

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reliability.md"


def test_the_page_is_what_the_ledger_says() -> None:
    assert is_current(PAGE, Ledger(DOCS / "evidence.jsonl")), "run `make reliability`"


def test_a_number_that_the_ledger_does_not_have_is_noticed(tmp_path: Path) -> None:
    page, ledger = tmp_path / "page.md", tmp_path / "evidence.jsonl"
    Ledger(ledger).add(STINT)
    page.write_text(PAGE.read_text())
    where = ["--page", str(page), "--ledger", str(ledger)]
    assert main(["page", *where]) == 0
    assert main(["page", "--check", *where]) == 0
    written = page.read_text()
    page.write_text(written.replace("1 histories", "1,000 histories"))
    assert main(["page", "--check", *where]) == 1
    assert main(["page", *where]) == 0
    assert page.read_text() == written
    Ledger(ledger).add(STINT)
    assert main(["page", "--check", *where]) == 1


def test_an_empty_ledger_has_run_nothing(tmp_path: Path) -> None:
    empty = Ledger(tmp_path / "none.jsonl")
    for block in ("backends", "made"):
        assert re.findall(r"\d+", BLOCKS[block](empty)) == []
    assert "kept" not in BLOCKS["backends"](empty)
    reached = [line.rpartition("| ")[2] for line in BLOCKS["targets"](empty).splitlines()[2:]]
    assert set(reached) == {"not run |"}
    assert [line.count("not run") for line in BLOCKS["ways"](empty).splitlines() if "| " in line].count(
        1
    ) == sum(len(way.targets) for way in WAYS.values())


def test_prose_stays_and_blocks_are_all_there(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "evidence.jsonl")
    ledger.add(STINT, BROKEN, EXAMINATION)
    text = rewritten(PAGE.read_text(), ledger)
    assert "## Negative controls" in text
    assert "| files | power loss | kept |" in text
    assert "1 histories" in text
    assert "seed 7, Holdfast abc, 2026-11-23: no (`again`)" in text
    with pytest.raises(InvalidOption, match="blocks"):
        rewritten(text.replace("evidence: broken", "evidence: brocken"), ledger)


def test_targets_are_reached_by_all_or_by_each(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "evidence.jsonl")
    ledger.add(replace(STINT, way="power-cuts", target="file-ext4", counts={"cuts": 1_000}))
    assert is_reached(ledger, Cell("power-cuts", "file-ext4"))
    assert not is_reached(ledger, Cell("power-cuts", "file-xfs"))
    assert "| power cuts under files, on ext4 and on xfs | 50 | 1,000 on each | not run |" in BLOCKS[
        "targets"
    ](ledger)
    ledger.add(replace(STINT, way="kills", target="file", counts={"kills": 20_000}))
    assert "| 20,000 | **20,000** |" in BLOCKS["targets"](ledger)


def test_what_could_not_be_shown_is_said(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "evidence.jsonl")
    ledger.add(
        Stint(way="power-cuts", target="file-xfs", holdfast="a", date="b", machine="c", not_shown="no xfs")
    )
    assert "files, on xfs: no xfs" in BLOCKS["not-shown"](ledger)
    assert "| files, on xfs | not shown |" in BLOCKS["ways"](ledger)


def test_every_way_has_a_play_and_every_goal_a_way() -> None:
    for way in WAYS.values():
        module, _, name = way.play.partition(":")
        assert callable(getattr(import_module(f"{PLAYS}.{module}"), name))
    for goal in GOALS:
        assert set(goal.where) <= set(WAYS[goal.way].targets)
    for name in ("histories", "stateful", "network"):
        assert set(WAYS[name].targets) <= set(BACKENDS)


def test_cells_by_name() -> None:
    assert Cell("power-cuts", "file-xfs") in cells()
    assert cells(["simulation", "histories:file"]) == [Cell("simulation", "bots"), Cell("histories", "file")]
    for wrong in ("history", "histories:fil"):
        with pytest.raises(InvalidOption, match="known"):
            cells([wrong])
