from pathlib import Path

import pytest

from holdfast.cli.markets import candle_files, symbols_of, use_exchange, use_store
from holdfast.errors import InvalidOption
from holdfast.runtime.desk import Desk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.touch()
    return path


def test_files_by_symbol(file: Path) -> None:
    assert candle_files([f"BTC={file}", f"ETH={file}"], []) == {"BTC": file, "ETH": file}
    assert candle_files([str(file)], ["BTC"]) == {"BTC": file}


@pytest.mark.parametrize(
    ("given", "symbols", "said"),
    [
        (["{file}"], [], "--candles BTCUSDT="),
        (["{file}"], ["A", "B"], "--candles BTCUSDT="),
        (["A={file}", "A={file}"], [], "already"),
        (["A={file}x"], [], "there is no file"),
    ],
)
def test_whose_candles_is_not_guessed(file: Path, given: list[str], symbols: list[str], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        candle_files([one.format(file=file) for one in given], symbols)


def test_symbols() -> None:
    files = {"A": Path("a"), "B": Path("b")}
    assert symbols_of([], files) == ["A", "B"]
    assert symbols_of(["B"], files) == ["B"]
    assert symbols_of(["C"], {}) == ["C"]
    with pytest.raises(InvalidOption, match="no candles of C"):
        symbols_of(["A", "C"], files)
    with pytest.raises(InvalidOption, match="say what to trade"):
        symbols_of([], {})


def test_an_exchange_is_a_name_or_a_url() -> None:
    desk = Desk()
    assert use_exchange(desk, "mine") == "mine"
    assert desk.exchanges == {}
    name = use_exchange(desk, "http://127.0.0.1:1")
    assert name in desk.exchanges
    with pytest.raises(InvalidOption, match="http://"):
        use_exchange(desk, "ftp://127.0.0.1")


def test_the_namespace_of_a_store() -> None:
    desk = Desk()
    use_store(desk, "memory:?namespace=blue", None)
    assert desk.adapters.namespace == "blue"
    use_store(desk, None, "green")
    assert desk.adapters.namespace == "green"
    use_store(desk, "memory:", None)
    assert desk.adapters.namespace == "default"
    with pytest.raises(InvalidOption, match="another namespace"):
        use_store(desk, "memory:?namespace=blue", "green")
