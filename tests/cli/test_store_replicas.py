"""What a person does with replicas: look, promote, accept a loss, re-seed, forget, end it; a failover as a whole."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from holdfast.cli.output import Output
from holdfast.errors import Unsupported
from holdfast.store import Key, Put, open_store
from holdfast.store.wrappers.replicated import Replicated
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.redis import RedisServer
from tests.cli.builders import EAGER, Done, Here, process, running

A = Key("mine", "a")


class Place:
    """A primary and its replica, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.one, self.two, self.three = (f"sqlite:///{folder}/{name}.db" for name in ("one", "two", "three"))

    @property
    def both(self) -> str:
        """The primary's URL with its replica."""
        return followed_by(self.one, self.two)

    def write(self, count: int, *replicas: str) -> None:
        """Commit so often to the primary, and let these catch up."""

        async def run() -> None:
            async with Replicated(open_store(self.one), [open_store(url) for url in replicas]) as store:
                for n in range(count):
                    await store.commit([Put(A, n)])
                assert await store.caught_up()

        asyncio.run(run())


def followed_by(url: str, *replicas: str) -> str:
    options = [f"replica_{n}={quote(one, safe='')}" for n, one in enumerate(replicas, 2)]
    return url + ("&" if "?" in url else "?") + "&".join(options)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A primary with 5 commits, and its replica, which has them."""
    place = Place(tmp_path)
    place.write(5, place.two)
    return place


def commits_bare(url: str) -> bool:
    """Whether anybody may commit there."""

    async def run() -> bool:
        async with open_store(url) as store:
            try:
                await store.commit([Put(A, "bare")])
            except Unsupported:
                return False
            return True

    return asyncio.run(run())


# ------------------------------------------------------------ replicas


def test_who_follows_and_how_far(here: Here, place: Place) -> None:
    place.write(3)
    for _ in range(2):  # looking changes nothing, and nothing follows
        done = here("store", "replicas", place.both, "--json")
        assert done.code == 0
        assert (done.summary["role"], done.summary["commits"], done.summary["owed"]) == ("primary", 8, 3)
        [replica] = done.of_type("replica")
        assert (replica["state"], replica["number"], replica["behind"]) == ("following", 5, 3)
        assert replica["seconds"] >= 0
    assert " 3 " in here("store", "replicas", place.both).out
    [known] = here("store", "replicas", place.one, "--json").of_type("replica")
    assert (known["state"], known["number"], known["error"]) == ("unknown", 5, None)
    place.write(0, place.two)
    [replica] = here("store", "replicas", place.both, "--json").of_type("replica")
    assert (replica["number"], replica["behind"], replica["seconds"]) == (8, 0, 0.0)


def test_what_a_namespace_is(here: Here, place: Place) -> None:
    replica = here("store", "replicas", place.two)
    assert replica.code == 0
    assert "a replica (following), at commit 5 of its primary" in replica.out
    asyncio.run(bare(place.three))
    plain = here("store", "replicas", place.three, "--json")
    assert (plain.code, plain.summary["role"]) == (0, None)
    assert here("store", "replicas", f"sqlite:///{place.folder}/nowhere.db").code == 2


async def bare(url: str) -> None:
    async with open_store(url) as store:
        await store.commit([Put(A, 1)])


def gone(place: Place) -> None:
    for path in place.folder.glob("two.db*"):
        path.unlink()


def not_empty(place: Place) -> None:
    gone(place)
    asyncio.run(bare(place.two))


def behind_what_is_kept(place: Place) -> None:
    shutil.copy(place.folder / "two.db", place.folder / "kept")
    place.write(3, place.two)
    gone(place)
    shutil.copy(place.folder / "kept", place.folder / "two.db")


def of_another(place: Place) -> None:
    gone(place)
    other = Place(place.folder / "other")
    other.folder.mkdir()
    other.write(5, place.two)


def ahead(place: Place) -> None:
    shutil.copy(place.folder / "one.db", place.folder / "kept")
    place.write(3, place.two)
    for path in place.folder.glob("one.db*"):
        path.unlink()
    shutil.copy(place.folder / "kept", place.folder / "one.db")


def nothing(place: Place) -> None:
    place.write(3)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (nothing, None),
        (not_empty, "is not empty"),
        (behind_what_is_kept, "has dropped what came next"),
        (of_another, "a replica of another primary"),
        (ahead, "has commits that its primary does not have"),
    ],
)
def test_what_is_said_of_a_replica_is_what_becomes_of_it(
    here: Here, place: Place, happens: Callable[[Place], None], said: str | None
) -> None:
    happens(place)
    done = here("store", "replicas", place.both, "--json")
    [replica] = [one for one in done.of_type("replica") if one["url"] == place.two]
    assert done.code == (1 if said else 0)
    assert said in replica["error"] if said else replica["error"] is None

    async def follows() -> bool:
        async with Replicated(open_store(place.one), [open_store(place.two)], poll=0.01) as store:
            while not await store.caught_up(seconds=0.05):
                if store.followers[0].error is not None:
                    return False
            return True

    assert asyncio.run(follows()) == (said is None)


def test_a_replica_that_is_gone_is_told(here: Here, place: Place) -> None:
    gone(place)
    done = here("store", "replicas", place.both)
    assert done.code == 1
    assert "not reached" in done.out


# ------------------------------------------------------------ promote


def test_promote_with_the_old_one_at_hand(here: Here, place: Place) -> None:
    place.write(3)
    words = ("store", "promote", place.two, "--old", place.one, "--json")
    nobody = here(*words)
    assert nobody.code == 2
    assert "the 3 or more that the replica lacks are taken over" in nobody.err
    assert here("store", "replicas", place.both).code == 0, "nothing was changed"
    for _ in range(2):  # again, it changes nothing
        done = here(*words, "--yes")
        assert done.code == 0
        assert (done.summary["epoch"], done.summary["number"], done.summary["loss"]) == (2, 8, None)
    old = here("store", "replicas", place.both, "--json")
    assert old.code == 1
    assert old.summary["role"] == "fenced"
    [seen] = old.of_type("replica")
    assert (seen["state"], seen["behind"]) == ("promoted", 0)
    assert not commits_bare(place.one)
    assert here("store", "unreplicate", place.two, "--yes").code == 0
    assert commits_bare(place.two)


def test_promote_with_the_old_one_gone(here: Here, place: Place) -> None:
    """What may be missing is told, and by nothing else than a person's word is it taken for dealt with."""
    place.write(3)
    done = here("store", "promote", place.two, "--yes", "--json")
    assert done.code == 1
    assert done.summary["loss"]["number"] == 5
    assert "is not fenced" in done.err
    [seen] = here("store", "replicas", place.both, "--json").of_type("replica")
    assert (seen["state"], seen["behind"]) == ("promoted", 3), "that is what was lost"
    assert here("store", "replicas", place.two).code == 1
    refused = here("store", "unreplicate", place.two, "--yes")
    assert refused.code == 2
    assert "accept-loss" in refused.err
    assert not commits_bare(place.two)
    assert here("store", "accept-loss", place.two).code == 2, "there is nobody to ask"
    assert here("store", "accept-loss", place.two, "--yes", "--json").summary["accepted"] is True
    assert here("store", "accept-loss", place.two, "--yes", "--json").summary["accepted"] is False
    assert here("store", "replicas", place.two).code == 0
    assert here("store", "unreplicate", place.two, "--yes", "--json").summary["ended"] is True
    assert here("store", "unreplicate", place.two, "--yes", "--json").summary["ended"] is False
    assert commits_bare(place.two)


def test_whoever_says_no_changes_nothing(here: Here, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Output, "asks", True)
    answers = [False]
    monkeypatch.setattr(Output, "confirm", lambda self, question: answers[-1])
    for words in (
        ["promote", place.two],
        ["promote", place.two, "--old", place.one],
        ["unreplicate", place.one],
    ):
        done = here("store", *words)
        assert done.code == 1
        assert "nothing was changed" in done.err
    assert here("store", "replicas", place.both).code == 0
    answers.append(True)
    assert here("store", "unreplicate", place.one).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["promote", "{one}", "--yes"], "is the primary, and always was"),
        (["promote", "{two}", "--old", "{three}", "--yes"], "there is no"),
        (["promote", "{two}", "--old", "{two}", "--yes"], "is not the primary of"),
        (["accept-loss", "{two}", "--yes"], "is a replica"),
        (["unreplicate", "{two}", "--yes"], "is a replica"),
        (["forget", "{one}", "nobody"], "it knows: "),
        (["reseed", "{one}", "{two}", "{one}"], "three different ones"),
        (["reseed", "{two}", "{one}", "{three}"], "is no primary"),
    ],
)
def test_what_makes_no_sense_is_refused(here: Here, place: Place, words: list[str], said: str) -> None:
    asked = [word.format(one=place.one, two=place.two, three=place.three) for word in words]
    done = here("store", *asked)
    assert done.code in (1, 2)
    assert said in done.err
    assert here("store", "replicas", place.both).code == 0, "nothing was changed"


# ------------------------------------------------------------ re-seed, forget


def test_a_replica_that_parted_is_re_seeded(here: Here, place: Place) -> None:
    behind_what_is_kept(place)
    asyncio.run(bare(place.three))
    refused = here("store", "reseed", place.one, place.two, place.three)
    assert refused.code == 1
    assert "not empty" in refused.err
    [seen] = here("store", "replicas", place.both, "--json").of_type("replica")
    assert seen["state"] == "following", "and nothing was set aside for it"

    fresh = f"sqlite:///{place.folder}/fresh.db"
    for _ in range(2):  # the second time it is there already
        done = here("store", "reseed", place.one, place.two, fresh, "--json")
        assert done.code == 0
        assert done.summary["equal"] is True
        assert done.summary["records"] == 1
    told = here("store", "replicas", followed_by(place.one, place.two, fresh), "--json").of_type("replica")
    assert [one["state"] for one in told] == ["aside", "following"]
    assert here("store", "verify", followed_by(place.one, fresh)).code == 0


def test_what_differs_after_a_re_seed_is_told(here: Here, place: Place) -> None:
    """Control: what is compared is what is there."""
    fresh = place.folder / "fresh.db"
    asked = ("store", "reseed", place.one, place.two, f"sqlite:///{fresh}")
    assert here(*asked).code == 0
    with sqlite3.connect(fresh) as raw:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        [table] = [name for name in names if "record" in name]
        raw.execute(f"DELETE FROM {table} WHERE entity_id = 'a'")
    raw.close()
    assert here(*asked).code == 1


def test_a_replica_is_forgotten(here: Here, place: Place) -> None:
    place.write(3)
    done = here("store", "forget", place.one, place.two, "--json")
    assert done.code == 0
    assert len(done.summary["forgotten"]) == 1
    assert here("store", "replicas", place.one, "--json").summary["owed"] == 0
    [seen] = here("store", "replicas", place.both, "--json").of_type("replica")
    assert "has dropped what came next" in seen["error"]


# ------------------------------------------------------------ servers


@pytest.mark.server("redis")
def test_passwords_are_never_shown(here: Here, place: Place) -> None:
    with RedisServer(password="s3cr3t-word") as server:
        spare, fresh = server.url, f"{server.url}?namespace=fresh"
        place.write(2, spare)
        said = [
            here("store", "replicas", followed_by(place.one, spare), "--json"),
            here("store", "replicas", followed_by(place.one, spare)),
            here("store", "replicas", place.one),
            here("store", "reseed", place.one, spare, fresh),
            here("store", "forget", place.one, "nobody"),
            here("store", "forget", place.one, fresh),
            here("store", "promote", fresh, "--yes"),
            here("store", "unreplicate", fresh),
            here("store", "accept-loss", fresh, "--yes"),
            here("store", "promote", spare.replace("s3cr3t-word", "s3cr3t-wrong"), "--yes"),
        ]
    said.append(here("store", "promote", place.two, "--old", f"{spare}?connect_timeout=0.5"))
    assert [done.code for done in said] == [0, 0, 0, 0, 2, 0, 1, 2, 0, 2, 2]
    assert "s3cr3t" not in "".join(done.out + done.err for done in said)


def test_what_is_encrypted_is_so_on_the_replica_too(here: Here, place: Place) -> None:
    keys = place.folder / "keys"
    keys.write_text(here("store", "key").out)
    one, two = (f"sqlite:///{place.folder}/{name}.db" for name in ("first", "second"))
    option = f"encrypt_key_file={keys}"

    async def write() -> None:
        async with open_store(f"{followed_by(one, two)}&{option}") as store:
            await store.commit([Put(A, "in plain words")])

    asyncio.run(write())
    assert here("store", "replicas", f"{followed_by(one, two)}&{option}").code == 0
    assert "in plain words" not in here("store", "show", "mine", "a", "--store", two).out
    assert here("store", "promote", f"{two}?{option}", "--old", f"{one}?{option}", "--yes").code == 0
    assert here("store", "unreplicate", two, "--yes").code == 0
    assert "in plain words" in here("store", "show", "mine", "a", "--store", f"{two}?{option}").out


KILLED = """
import os, sys
from holdfast import points
from holdfast.cli import main
points.reached = lambda point: os._exit(137) if point == sys.argv[1] else None
main(sys.argv[2:])
"""


def killed_at(point: str, *words: str) -> int:
    """Run a command that dies at a crash point; return how it ended."""
    asked = [sys.executable, "-c", KILLED, point, *words]
    return subprocess.run(asked, capture_output=True, timeout=200, check=False).returncode


@pytest.mark.crash
def test_a_re_seed_that_is_killed_goes_on(here: Here, place: Place) -> None:
    place.write(400)
    fresh = f"sqlite:///{place.folder}/fresh.db"
    words = ("store", "reseed", place.one, place.two, fresh)
    for point in ("replicated.claimed", "replicated.copied"):
        assert killed_at(point, *words) == 137, point
    done = here(*words, "--json")
    assert (done.code, done.summary["equal"]) == (0, True)
    assert here("store", "replicas", followed_by(place.one, fresh)).code == 0


@pytest.mark.crash
def test_a_promotion_that_is_killed_goes_on(here: Here, place: Place) -> None:
    place.write(50)
    words = ("store", "promote", place.two, "--old", place.one, "--yes")
    for point in ("replicated.fenced", "replicated.promoted"):
        assert killed_at(point, *words) == 137, point
        assert not commits_bare(place.one), "fenced it stays"
    done = here(*words, "--json")
    assert done.code == 0
    assert (done.summary["epoch"], done.summary["number"], done.summary["loss"]) == (2, 55, None)


WAITS = """
    while ctx.state["asked"] == 15 and not Path("go").exists():
        Path("waits").touch()
        time.sleep(0.01)
    side ="""
"""In the middle of the market, whatever it takes until the bot is killed."""


@pytest.mark.crash
@pytest.mark.server("postgres", "redis")
def test_a_failover_as_the_page_says(here: Here, folder: Path) -> None:
    """The bot and the primary's server are killed; then a bot goes on where the replica was, once a person said so."""
    waits = EAGER.replace('"5m"', '"5m", timeout=250').replace("\n    side =", WAITS)
    (folder / "bot.py").write_text(f"import time\nfrom pathlib import Path\n{waits}")

    def live(store: str, *words: str) -> tuple[str, ...]:
        where = ("--candles", "BTCUSDT=candles.csv", "--store", store)
        return ("live", "bot.py:desk", *where, "--lease", "2", "--json", *words)

    def run(*words: str) -> Done:
        return process(*words, cwd=folder)

    with PostgresServer() as primary, RedisServer(appendfsync="everysec") as spare:
        first = f"{primary.url}?connect_timeout=1"  # when it is gone, nobody wants to wait for it
        gone, both = followed_by(first, spare.url), followed_by(primary.url, spare.url)
        with running(*live(both), cwd=folder) as bot:
            bot.until(lambda one: (folder / "waits").exists() and one.out.count('"Closed"') >= 2)
            beside = here("store", "replicas", both, "--json")
            assert beside.code == 0
            assert beside.of_type("replica")[0]["state"] == "following"
            primary.kill()
            bot.process.send_signal(signal.SIGKILL)
        (folder / "go").touch()

        away = here("store", "replicas", gone)
        assert away.code == 1
        assert "a replica (following), at commit " in away.err
        done = here("store", "promote", spare.url, "--old", first, "--yes", "--json")
        assert done.code == 1
        assert "could not be reached" in done.summary["loss"]["reason"]

        assert run(*live(spare.url)).code == 2, "not without a replica, or an end of the replication"
        again = followed_by(spare.url, "file:./next")
        halted = run(*live(again, "--resume"))
        assert halted.code == 1
        assert "SymbolHalted" in halted.out
        assert here("store", "accept-loss", spare.url, "--yes").code == 0
        resumed = run(*live(again, "--resume"))
        assert resumed.code == 0
        assert resumed.summary["seats"][0]["halted"] == ""
        assert resumed.of_type("Closed")
        assert here("store", "verify", again).code == 0

        primary.start()
        old = run(*live(both))
        assert old.code == 2
        assert "was promoted" in old.err
        assert here("store", "replicas", both, "--json").summary["role"] == "fenced"
