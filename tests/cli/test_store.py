"""`holdfast store`: it reads, changes nothing, and creates nothing."""

import asyncio
import json
from pathlib import Path

import pytest

from holdfast.store import Append, open_store
from tests.cli.builders import Done, Here

STATE = ("--store", "file:state")


@pytest.fixture
def traded(here: Here, folder: Path) -> Path:
    """A folder whose bot has traded on paper for five hours."""
    assert here("live", "bot.py:desk", "--candles", "BTCUSDT=candles.csv").code == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words", [("ls",), ("show", "a"), ("history", "a", "B"), ("verify",), ("repair", "--yes")]
)
def test_a_store_that_is_not_there_is_an_error_and_stays_away(
    here: Here, folder: Path, words: tuple[str, ...]
) -> None:
    before = sorted(folder.iterdir())
    for url in ("file:nowhere", "file:nowhere?namespace=blue", "file:."):
        done = here("store", *words, "--store", url, "--json")
        assert done.code == 2
        assert done.objects[-1]["error"] == "StoreMissing"
    assert here("store", *words).code == 2
    assert sorted(folder.iterdir()) == before


def test_ls(here: Here, traded: Path) -> None:
    before = contents(traded / "state")
    done = here("store", "ls", *STATE, "--json")
    assert done.code == 0
    counts = {one["name"]: one["count"] for one in done.objects[:-1]}
    assert counts["run.eager"] == counts["state.eager"] == 1
    assert counts["history.eager.BTCUSDT"] > 40
    assert counts["system.eager.BTCUSDT"] == 2
    assert done.summary["bytes"] == sum(map(len, before.values()))
    assert contents(traded / "state") == before
    assert "run.eager" in here("store", "ls", *STATE).out


def test_ls_of_what_is_broken(here: Here, traded: Path) -> None:
    [path] = (traded / "state" / "run.eager").iterdir()
    path.write_bytes(path.read_bytes().replace(b"cursor", b"cursed"))
    done = here("store", "ls", *STATE, "--json")
    assert done.code == 1
    assert done.summary["trouble"] == 1
    assert "run.eager" in done.err


def test_show(here: Here, traded: Path) -> None:
    done = here("store", "show", "state.eager", "BTCUSDT", *STATE, "--json")
    [entity] = done.of_type("entity")
    assert entity["value"]["asked"] > 8
    assert done.summary["entities"] == 1
    assert here("store", "show", "state.eager", "BTCUSDT", STATE[1], "--json").of_type("entity") == [entity]
    plain = here("store", "show", "state.eager", *STATE)
    assert json.loads(plain.out.partition("\n")[2]) == entity["value"]
    assert entity["version"] in plain.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "state.nobody"), "there are: holdfast.desk, "),
        (("show", "state.eager", "ETHUSDT"), "there are: BTCUSDT"),
        (("history", "nobody", "BTCUSDT"), "there are: history.eager.BTCUSDT, system.eager.BTCUSDT"),
        (("history", "eager", "BTCUSDT", "--namespace", "blue"), "there is no store at"),
    ],
)
def test_what_is_not_there_is_said(here: Here, traded: Path, words: tuple[str, ...], said: str) -> None:
    done = here("store", *words, *STATE)
    assert done.code == (2 if "--namespace" in words else 1)
    assert said in done.err
    assert done.out == ""


def test_history(here: Here, traded: Path) -> None:
    words = ("store", "history", "eager", "BTCUSDT", *STATE)
    done = here(*words, "--after", 3, "--limit", 4, "--json")
    assert [one["number"] for one in done.of_type("event")] == [4, 5, 6, 7]
    assert done.summary == {"type": "summary", "events": 4, "last": 7}
    assert here(*words, "--after", 10_000, "--json").summary == {
        "type": "summary",
        "events": 0,
        "last": 10_000,
    }
    assert "  decided    " in here(*words).out
    system = here(*words, "--system").out.splitlines()
    assert system[0].endswith("started")
    assert "the market ended" in system[1]


def test_an_event_of_somebody_else_is_shown_as_it_is(here: Here, folder: Path) -> None:
    async def append() -> None:
        async with open_store("file:state") as store:
            await store.commit([Append("history.mine.X", {"type": "MyOwn", "n": 1})])

    asyncio.run(append())
    assert '{"type":"MyOwn","n":1}' in here("store", "history", "mine", "X", *STATE).out


def test_a_store_that_is_no_url(here: Here) -> None:
    assert "write file:./state" in here("store", "ls", "--store", "./state").err
    assert here("store", "ls", "--store", "nowhere://x").code == 2


def damaged(folder: Path) -> Path:
    [path] = (folder / "state" / "run.eager").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    return path


def test_verify_of_a_sound_store(here: Here, traded: Path) -> None:
    before = contents(traded)
    assert here("store", "verify", *STATE, "--json").summary == {"type": "summary", "findings": 0}
    assert here("store", "repair", *STATE).code == 0
    assert contents(traded) == before


def test_verify_finds_and_changes_nothing(here: Here, traded: Path) -> None:
    path = damaged(traded)
    before = contents(traded)
    done = here("store", "verify", *STATE, "--json")
    assert done.code == 1
    [found] = done.of_type("finding")
    assert found["path"] == str(path)
    assert found["key"] == {"entity_name": "run.eager", "entity_id": "BTCUSDT"}
    assert contents(traded) == before
    assert str(path) in here("store", "verify", *STATE).out


def test_repair_asks_and_where_it_cannot_it_does_nothing(here: Here, traded: Path) -> None:
    damaged(traded)
    before = contents(traded)
    done = here("store", "repair", *STATE)
    assert done.code == 2
    assert "--yes" in done.err
    assert contents(traded) == before


def test_repair_deletes_nothing_and_says_what_it_did(here: Here, traded: Path) -> None:
    path = damaged(traded)
    kept = path.read_bytes()
    done = here("store", "repair", *STATE, "--yes", "--json")
    assert done.code == 1
    assert done.summary == {"type": "summary", "mended": 0, "set_aside": 1}
    [found] = done.of_type("finding")
    assert Path(found["path"]).read_bytes() == kept
    assert here("store", "verify", *STATE).code == 0


def test_repair_leaves_a_running_bot_alone(here: Here, traded: Path) -> None:
    async def inside() -> Done:
        async with open_store("file:state"):
            damaged(traded)
            return await asyncio.to_thread(here, "store", "repair", *STATE, "--yes", "--json")

    done = asyncio.run(inside())
    assert done.code == 2
    assert done.objects[-1]["error"] == "StoreInUse"


def test_repair_is_for_files_and_says_what_to_do_elsewhere(here: Here) -> None:
    done = here("store", "repair", "redis://me:secret@host/0", "--yes", "--json")
    assert done.code == 2
    assert done.objects[-1]["error"] == "Unsupported"
    assert "redis-check-aof" in done.err
    assert "secret" not in done.err
