"""What README shows to a new user works as it is shown, and live as in the backtest."""

from pathlib import Path

from tests.cli.builders import Here, process

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_sma_cross(here: Here, tmp_path: Path) -> None:
    here("candles", tmp_path / "candles.csv", "--minutes", 1_500)
    words = (EXAMPLES / "sma_cross.py", "--candles", "BTCUSDT=candles.csv", "--json")
    backtest = process("backtest", *words, cwd=tmp_path)
    live = process("live", *words, cwd=tmp_path)
    assert (backtest.code, live.code) == (0, 0)
    assert len(backtest.of_type("Closed")) > 0
    for kind in ("Decided", "Opened", "Closed"):
        times = [(one["at"], one.get("price")) for one in backtest.of_type(kind)]
        assert [(one["at"], one.get("price")) for one in live.of_type(kind)] == times
    assert (tmp_path / "logs" / "data" / "state.sma-cross" / "BTCUSDT.json").is_file()


def test_dip(here: Here, tmp_path: Path) -> None:
    words = []
    for symbol, seed, price in (("BTCUSDT", 1, 40_000), ("ETHUSDT", 2, 2_500)):
        path = tmp_path / f"{symbol}.csv"
        here("candles", path, "--minutes", 6_000, "--seed", seed, "--price", price)
        words += ["--candles", f"{symbol}={path}"]
    done = here("backtest", f"{EXAMPLES / 'dip.py'}:desk", *words, "--json")
    assert done.code == 0
    assert done.summary["trades"] > 0
    assert done.of_type("Scheduled")
