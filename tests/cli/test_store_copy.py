"""`holdfast store copy`, `activate`, `export`, `import`, `stats`: what a person sees of them."""

import asyncio
import json
import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from holdfast.store import Key, Put, open_store
from tests.cli.builders import Here

LIVE = ("live", "bot.py:desk", "--candles", "BTCUSDT=candles.csv")


@pytest.fixture
def traded(here: Here, folder: Path) -> Path:
    """A folder whose bot has traded on paper for five hours."""
    assert here(*LIVE).code == 0
    return folder


def history(here: Here, store: str) -> list[object]:
    done = here("store", "history", "eager", "BTCUSDT", "--store", store, "--json")
    return [one["value"] for one in done.of_type("event")]


def test_a_copy_is_one_and_does_not_trade(here: Here, traded: Path) -> None:
    done = here("store", "copy", "file:state", "sqlite:copy.db", "--json")
    assert done.code == 0
    assert done.summary["mark"] == "copy"
    assert done.summary["moved"] is False
    assert done.summary["events"] > 40
    assert history(here, "sqlite:copy.db") == history(here, "file:state")
    refused = here(*LIVE, "--store", "sqlite:copy.db", "--json")
    assert refused.code == 2
    assert refused.objects[-1]["error"] == "NotActive"
    assert "holdfast store copy FROM TO --move" in refused.err
    assert here(*LIVE).code == 0


def test_a_move_is_one_and_the_old_place_refuses(here: Here, traded: Path) -> None:
    done = here("store", "copy", "file:state", "sqlite:moved.db", "--move")
    assert done.code == 0
    assert "has moved to sqlite:///moved.db" in done.out
    assert here(*LIVE, "--store", "sqlite:moved.db").code == 0
    refused = here(*LIVE, "--json")
    assert refused.code == 2
    assert refused.objects[-1]["error"] == "NotActive"
    assert "start it there" in refused.err
    again = here("store", "copy", "file:state", "sqlite:moved.db", "--move")
    assert again.code == 0
    assert "had moved already" in again.out
    assert "compared and equal" not in again.out


def test_activate_asks_and_undoes(here: Here, traded: Path) -> None:
    assert "nothing to do" in here("store", "activate", "file:state").out
    assert here("store", "copy", "file:state", "file:copy").code == 0
    asked = here("store", "activate", "file:copy")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert here(*LIVE, "--store", "file:copy").code == 2
    done = here("store", "activate", "file:copy", "--yes", "--json")
    assert done.code == 0
    assert done.summary["was"] == "copy"
    assert done.summary["other"] == f"file:{traded}/state"
    assert here(*LIVE, "--store", "file:copy").code == 0


def test_a_dry_run_creates_nothing(here: Here, traded: Path) -> None:
    before = sorted(traded.iterdir())
    for target in ("file:new", "sqlite:new.db"):
        done = here("store", "copy", "file:state", target, "--move", "--dry-run")
        assert done.code == 0
        assert "nothing was written" in done.out
    assert sorted(traded.iterdir()) == before


def test_what_is_refused_is_said(here: Here, traded: Path) -> None:
    assert here(*LIVE, "--store", "file:other").code == 0
    for target, said in (
        ("file:other", "is not empty"),
        ("file:state", "onto itself"),
        ("file:new?namespace=blue", "open signals"),
        ("nowhere:x", "no backend for scheme"),
    ):
        if "blue" in target:
            asyncio.run(_open_signal())
        done = here("store", "copy", "file:state", target, "--json")
        assert done.code == 2
        assert said in done.err
    assert here("store", "copy", "file:nowhere", "file:new").code == 2
    assert here(*LIVE, "--store", "file:other").code == 0


async def _open_signal() -> None:
    async with open_store("file:state") as store:
        await store.commit([Put(Key("signal.mine", "BTCUSDT"), {"open": True})])


def test_the_namespace_is_kept(here: Here, folder: Path) -> None:
    assert here(*LIVE, "--namespace", "blue").code == 0
    words = ("--namespace", "blue", "--json")
    assert here("store", "copy", "file:state", "sqlite:copy.db", *words).summary["namespace"] == "blue"
    assert here("store", "export", "file:state?namespace=blue", "blue.jsonl").code == 0
    assert here("store", "import", "blue.jsonl", "file:back", "--json").summary["namespace"] == "blue"
    assert here("store", "ls", "file:back?namespace=blue").code == 0
    assert here("store", "ls", "file:back", "--namespace", "red").code == 2


@pytest.mark.parametrize("name", ["portfolio.jsonl", "portfolio.jsonl.gz"])
def test_export_and_import(here: Here, traded: Path, name: str) -> None:
    done = here("store", "export", "file:state", name, "--json")
    assert done.code == 0
    assert stat.S_IMODE((traded / name).stat().st_mode) == 0o600
    assert here("store", "export", "file:state", name).code == 2
    dry = here("store", "import", name, "memory:", "--dry-run")
    assert "would be written" in dry.out
    back = here("store", "import", name, "sqlite:back.db", "--json")
    assert back.code == 0
    assert back.summary["events"] == done.summary["events"]
    assert history(here, "sqlite:back.db") == history(here, "file:state")
    assert here("store", "import", name, "file:state").code == 2
    refused = here(*LIVE, "--store", "sqlite:back.db")
    assert refused.code == 2
    assert "was imported from a file" in refused.err
    assert "--move" not in refused.err
    activated = here("store", "activate", "sqlite:back.db", "--yes")
    assert activated.code == 0
    assert "never start a bot on export:" not in activated.out
    assert here(*LIVE, "--store", "sqlite:back.db").code == 0


def test_a_damaged_file_is_refused(here: Here, traded: Path) -> None:
    assert here("store", "export", "file:state", "p.jsonl").code == 0
    data = (traded / "p.jsonl").read_bytes()
    (traded / "p.jsonl").write_bytes(data.replace(b"eager", b"eagle", 1))
    done = here("store", "import", "p.jsonl", "file:back", "--json")
    assert done.code == 1
    assert done.objects[-1]["error"] == "Corrupt"
    assert not (traded / "back").exists()


def test_stats(here: Here, traded: Path) -> None:
    done = here("store", "stats", "file:state", "--json")
    counts = {one["name"]: one for one in done.of_type("count")}
    assert counts["history.eager.BTCUSDT"]["count"] > 40
    assert counts["history.eager.BTCUSDT"]["bytes"] > 4_000
    assert done.summary["durability"] == "POWER_LOSS"
    assert done.summary["head"] > 40
    assert "history.eager.BTCUSDT" in here("store", "stats", "file:state").out


def test_reading_commands_take_a_desk(here: Here, traded: Path) -> None:
    for words in (("ls",), ("stats",), ("verify",)):
        assert here("store", *words, "bot.py:desk").code == 0
    done = here("store", "copy", "bot.py:desk", "sqlite:copy.db", "--json")
    assert done.code == 0
    assert done.summary["events"] > 40


def test_verify_reads_every_store(here: Here, traded: Path) -> None:
    assert here("store", "copy", "file:state", "sqlite:copy.db").code == 0
    for store in ("sqlite:copy.db", "file:state", "memory:"):
        assert here("store", "verify", store, "--json").summary["findings"] == 0

    async def harm() -> None:
        async with open_store("sqlite:copy.db") as store:
            await store.commit([Put(Key("run.eager", "ETHUSDT"), {"schema": "run/1", "cursor": "soon"})])
            await store.commit([Put(Key("signal.eager", "ETHUSDT"), {"schema": "signal/99"})])

    asyncio.run(harm())
    done = here("store", "verify", "sqlite:copy.db", "--json")
    assert done.code == 1
    assert {one["key"]["entity_name"] for one in done.of_type("finding")} == {"run.eager", "signal.eager"}
    assert "upgrade" in json.dumps(done.of_type("finding"))


def test_verify_compares_with_a_replica_and_makes_nobody_follow(here: Here, traded: Path) -> None:
    assert here("store", "copy", "file:state", "sqlite:spare.db").code == 0
    asked = f"file:state?replica={quote('sqlite:spare.db', safe='')}"
    assert here("store", "verify", asked, "--json").summary["findings"] == 0

    async def harm() -> None:
        async with open_store("sqlite:spare.db") as store:
            await store.commit([Put(Key("state.eager", "BTCUSDT"), {"asked": -1})])

    asyncio.run(harm())
    done = here("store", "verify", asked, "--json")
    assert done.code == 1
    [found] = done.of_type("finding")
    assert "state.eager BTCUSDT: has another value" in found["reason"]
    for words in (("ls", asked), ("stats", asked)):
        assert here("store", *words).code == 0
    assert here(*LIVE).code == 0  # it has not become a replicated one


OWN = """
from holdfast import Desk
from holdfast.persist import Adapters
from holdfast.testing.own_adapter import FourMethods

adapters = Adapters(base_dir="own")
adapters.use("signal", FourMethods)
desk = Desk(adapters=adapters)
"""


def test_a_desk_with_adapters_of_its_own_is_a_place_too(here: Here, traded: Path) -> None:
    strategy = (traded / "bot.py").read_text().partition('desk = Desk(store="file:state")')[2]
    (traded / "own.py").write_text(f"{OWN}\nfrom holdfast import Signal\n{strategy}")
    done = here("store", "copy", "file:state", "own.py:desk", "--move", "--json")
    assert done.code == 0
    assert done.summary["to"].startswith("adapters:")
    assert here("live", "own.py:desk", *LIVE[2:]).code == 0
    assert here("store", "ls", "own.py:desk").code == 0
    back = here("store", "copy", "own.py:desk", "sqlite:back.db", "--move", "--json")
    assert back.code == 0
    assert back.summary["events"] == done.summary["events"] + 3  # started, recovered, stopped
    refused = here("live", "own.py:desk", *LIVE[2:], "--json")
    assert refused.objects[-1]["error"] == "NotActive"
    assert here(*LIVE, "--store", "sqlite:back.db").code == 0


def test_after_a_move_never_both_places_are_traded_on(here: Here, traded: Path) -> None:
    there = ("--store", "sqlite:moved.db")
    assert here("store", "copy", "file:state", "sqlite:moved.db", "--move").code == 0
    assert here(*LIVE, *there).code == 0
    refused = here("store", "activate", "file:state", "--yes", "--json")
    assert refused.code == 2
    assert "was traded on since" in refused.err
    assert "--give-up-newer" in refused.err
    assert here(*LIVE).code == 2
    assert here(*LIVE, *there).code == 0
    done = here("store", "activate", "file:state", "--yes", "--give-up-newer", "--json")
    assert done.summary["other_left"] is True
    assert here(*LIVE, *there).code == 2
    assert here(*LIVE).code == 0
    (traded / "moved.db").rename(traded / "gone.db")
    assert here("store", "activate", "sqlite:gone.db", "--yes").code == 2  # state is traded on


def test_where_the_other_place_cannot_be_looked_at_that_is_said(here: Here, traded: Path) -> None:
    assert here("store", "copy", "file:state", "sqlite:copy.db").code == 0
    (traded / "state").rename(traded / "gone")
    asked = here("store", "activate", "sqlite:copy.db")
    assert asked.code == 2
    done = here("store", "activate", "sqlite:copy.db", "--yes", "--json")
    assert done.code == 0
    assert done.summary["other_left"] is False
    for one in (asked, done):
        assert "the other place was not looked at: there is no store at" in one.err
    assert not (traded / "state").exists()


def test_what_is_encrypted_needs_its_key_everywhere(
    here: Here, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", here("store", "key", "test").out)
    sealed, raw = "sqlite:x.db?encrypt_key_env=KEYS", "sqlite:x.db"
    assert here(*LIVE, "--store", sealed).code == 0
    reading = (("verify",), ("show", "state.eager"), ("history", "eager", "BTCUSDT"), ("export", "p.jsonl"))
    for word, *more in reading:
        words = (word, raw, *more) if word == "export" else (word, *more, "--store", raw)
        assert "is encrypted: give its key" in here("store", *words).err
        assert here("store", *(sealed if one == raw else one for one in words)).code == 0
    before = (folder / "x.db").read_bytes()
    for words in ((*LIVE, "--store", raw), ("store", "copy", raw, "file:copy"), ("store", "activate", raw)):
        refused = here(*words)
        assert refused.code == 2
        assert "is encrypted: give its key" in refused.err
    assert (folder / "x.db").read_bytes() == before
    assert here("store", "ls", raw).code == 0  # names are not encrypted


def test_what_is_no_export_is_said_to_be_none(here: Here, traded: Path) -> None:
    assert here("store", "export", "file:state", "p.jsonl.gz").code == 0
    (traded / "p.jsonl").write_bytes((traded / "p.jsonl.gz").read_bytes())
    (traded / "candles.csv.gz").write_bytes((traded / "candles.csv").read_bytes())
    (traded / "empty").write_text("")
    for file, said in (
        ("candles.csv", "is no export of a portfolio"),
        ("p.jsonl", "does not end in .gz"),
        ("candles.csv.gz", "is not compressed"),
    ):
        done = here("store", "import", file, "file:back")
        assert done.code == 1
        assert said in done.err
    assert here("store", "import", "empty", "file:back").code == 1
    assert not (traded / "back").exists()


def test_a_namespace_that_is_not_there_is_said_with_those_that_are(here: Here, folder: Path) -> None:
    assert here(*LIVE, "--namespace", "cpy").code == 0
    assert here("store", "copy", "file:state?namespace=cpy", "sqlite:x.db").code == 0
    for store in ("file:state", "sqlite:x.db"):
        done = here("store", "ls", store)
        assert done.code == 2
        assert "'default'" in done.err
        assert "'cpy'" in done.err
    for word in ("ls", "stats"):
        assert "nothing is stored in namespace 'blue'" in here("store", word, "memory:?namespace=blue").err


def test_what_was_typed_is_quoted(here: Here, traded: Path) -> None:
    for store in ("sqlite:s.db?chache=1", "file:state?chache=1", "sqlite:s.db?replica=file:x&chache=1"):
        done = here("store", "ls", store)
        assert done.code == 2
        assert repr(store) in done.err.replace("\n", " ")
        assert "mode=ro" not in done.err
    told = here("store", "stats", "file:state", "--json").summary["url"]
    assert told == "file:state"
