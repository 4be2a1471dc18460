import gzip
from pathlib import Path

import pytest

from holdfast.market.csv import read_candles
from holdfast.market.invented import synthetic
from tests.cli.builders import Here


@pytest.mark.parametrize("name", ["candles.csv", "candles.csv.gz"])
def test_made_up_candles_read_back_exactly(here: Here, tmp_path: Path, name: str) -> None:
    done = here("candles", tmp_path / name, "--minutes", 300, "--seed", 5, "--json")
    assert done.summary["candles"] == 300
    assert done.summary["synthetic"] is True
    assert read_candles(tmp_path / name) == synthetic(5, 300)


def test_every_row_says_that_it_is_synthetic(here: Here, tmp_path: Path) -> None:
    here("candles", tmp_path / "a.csv.gz", "--minutes", 10, "--start", "2025-02-03")
    header, *rows = gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).decode().splitlines()
    assert header == "timestamp,open,high,low,close,volume,source"
    assert rows[0].startswith("2025-02-03T00:00:00Z,")
    assert all(row.endswith(",synthetic") for row in rows)


def test_a_file_that_is_there_is_kept_unless_forced(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("precious")
    done = here("candles", path)
    assert (done.code, path.read_text()) == (2, "precious")
    assert "--force" in done.err
    assert here("candles", path, "--minutes", 3, "--force").code == 0
    assert len(path.read_text().splitlines()) == 4


def test_a_folder_that_is_not_there_is_said(here: Here, tmp_path: Path) -> None:
    done = here("candles", tmp_path / "no" / "a.csv")
    assert done.code == 2
    assert done.err.endswith("a.csv: No such file or directory\n")
