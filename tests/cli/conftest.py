"""Fixtures: commands in this process, a folder with a bot and candles."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli.candles import candles as write_candles
from holdfast.market.invented import synthetic
from holdfast.testing.exchange import Options, SimulatedExchangeProcess
from tests.cli.builders import EAGER, Here

MINUTES = 300


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Commands, run in this process."""
    return Here(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `bot.py` (its desk keeps state in `state/`) and five hours of `candles.csv`."""
    (tmp_path / "bot.py").write_text(EAGER)
    write_candles(tmp_path / "candles.csv", minutes=MINUTES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    return tmp_path


@pytest.fixture(scope="session")
def exchange() -> Iterator[SimulatedExchangeProcess]:
    """A simulated exchange whose market waits; give each test a session of its own."""
    with SimulatedExchangeProcess({"BTCUSDT": synthetic(7, 500)}, Options(warmup=60)) as process:
        yield process
