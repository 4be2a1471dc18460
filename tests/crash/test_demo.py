"""The demo tells the truth: it passes because nothing is lost, and fails where something is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.market.invented import synthetic

CANDLES = 120
MAIN = "import sys; from holdfast.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("demo") / "candles.csv"
    rows = [f"{c.at},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in synthetic(5, CANDLES)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    return path


def demo(*options: str) -> tuple[int, list[dict[str, Any]], str]:
    command = [sys.executable, "-c", MAIN, "demo", "--json", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=250)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_the_demo_loses_nothing(candles: Path) -> None:
    code, lines, errors = demo("--kills", "6", "--candles", str(candles))
    assert (code, errors) == (0, "")
    *kills, summary = lines
    facts = {name: summary[name] for name in ("kills", "lost", "doubled", "identical")}
    assert facts == {"kills": 6, "lost": 0, "doubled": 0, "identical": True}
    assert summary["orders"] > 10
    assert len(kills) == 6
    assert sum(kill["in_flight"] for kill in kills) >= 3


def test_a_broken_demo_says_so_and_fails(candles: Path) -> None:
    code, lines, _ = demo("--kills", "8", "--broken", "--candles", str(candles))
    assert code == 1
    assert lines[-1]["doubled"] > 0
    assert not lines[-1]["identical"]


def test_a_file_without_an_hour_of_candles_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("timestamp,open,high,low,close,volume\n60000,1,1,1,1,1\n")
    code, _, errors = demo("--candles", str(short))
    assert code == 2
    assert "an hour" in errors
