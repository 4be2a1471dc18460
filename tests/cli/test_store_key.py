"""`holdfast store key`, and what the page says of changing a key."""

import asyncio
import sys
from pathlib import Path

import pytest

from holdfast.store import Append, Key, Put, open_store
from tests.cli.builders import Here, process


def test_it_prints_a_line_and_nothing_else(tmp_path: Path) -> None:
    done = process("store", "key", "2026-11", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    [line] = done.out.splitlines()
    name, _, secret = line.partition(":")
    assert name == "2026-11"
    assert len(secret) == 43
    assert process("store", "key", "2026-11", cwd=tmp_path).out != done.out


def test_its_name_is_the_date_unless_it_is_given(here: Here) -> None:
    assert here("store", "key").out.partition(":")[0].count("-") == 2


def test_what_is_no_name_is_refused(here: Here) -> None:
    done = here("store", "key", "a b")
    assert (done.code, done.out) == (2, "")


def test_on_a_terminal_there_is_a_warning(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = here("store", "key")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = here("store", "key")
    assert len(done.out.splitlines()) == 1
    assert "secret" in done.err
    assert quiet.err == ""


def test_a_key_is_changed_as_the_page_says(here: Here, tmp_path: Path) -> None:
    first, second, both = (tmp_path / name for name in ("first", "second", "both"))
    first.write_text(here("store", "key", "one").out)
    second.write_text(here("store", "key", "two").out)
    both.write_text(second.read_text() + first.read_text())

    def url(keys: Path, place: str = "a") -> str:
        return f"sqlite:///{tmp_path}/{place}.db?encrypt_key_file={keys}"

    async def write(keys: Path, number: int) -> None:
        async with open_store(url(keys)) as store:
            await store.commit([Put(Key("mine", f"{number}"), number), Append("told", number)])

    def reads(asked: str) -> list[int]:
        return [here("store", "show", "mine", n, "--store", asked).code for n in (1, 2)]

    asyncio.run(write(first, 1))
    asyncio.run(write(both, 2))
    assert reads(url(both)) == [0, 0]
    assert reads(url(first)) == [2, 2], "it does not know the new one"
    alone = here("store", "show", "mine", "1", "--store", url(second))
    assert alone.code == 2
    assert "encrypted with the key 'one'" in alone.err
    assert here("store", "copy", url(both), url(second, "b"), "--move").code == 0
    assert reads(url(second, "b")) == [0, 0]
    assert here("store", "verify", url(second, "b")).code == 0
