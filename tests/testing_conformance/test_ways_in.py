"""The ways in: the command line and the pytest plugin (the classes are used in test_backends.py)."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.errors import InvalidOption, InvalidValue
from holdfast.store import Change, CommitId, Key, Put
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.conformance import Bench, Broken, Level, Pace, Subject, check, examine
from holdfast.testing.conformance.checks import all_checks
from holdfast.testing.conformance.target import at
from tests.cli.builders import COMMAND, Here

LIARS = "tests.testing_conformance.liars"

WRONG = """
from holdfast.store import Append, Put
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.conformance import Subject

class Wrong(MemoryStore):
    async def commit(self, changes, *, commit_id=None, vital=False):
        once = [one for one in changes if not isinstance(one, Append)]
        return await super().commit(once, commit_id=commit_id)

def subject():
    return Subject.of_factory(lambda namespace: Wrong(namespace=namespace), name="wrong", keeps=False)

def store(namespace):
    return MemoryStore(namespace=namespace)
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong_backend.py"
    path.write_text(WRONG)
    return path


def test_what_does_not_claim_enough_is_kept_and_not_sound(here: Here) -> None:
    done = here("conform", "memory", "--quick", "--level", "core", "--json")
    assert done.code == 1
    checks = [one for one in done.objects if one["type"] == "check"]
    assert {one["state"] for one in checks} == {"kept", "does not apply"}
    assert done.summary["levels"] == {"core": "kept"}
    assert done.summary["sound"] is False
    of_check = {"name", "level", "promise", "state", "said", "history", "counts", "seed", "seconds"}
    assert {frozenset(one) for one in checks} == {frozenset({"type", *of_check})}
    assert set(done.summary) == {
        "type",
        "subject",
        "sound",
        "levels",
        "seed",
        "durability",
        "real",
        "not_tried",
    }


def test_what_is_broken_is_named_with_its_history_and_the_seed(here: Here, wrong: Path) -> None:
    done = here("conform", f"{wrong}:subject", "--quick", "--level", "core", "--seed", "5")
    assert done.code == 1
    assert "broken          streams" in done.out
    assert "oldest first, numbered from 1" in done.out
    assert "commit [append one 1, append two x, append one 2]" in done.out
    assert "(seed 5)" in done.out
    assert "core is broken" in done.out.splitlines()[-1]


def test_a_sound_store_is_worth_exit_code_0(here: Here, tmp_path: Path) -> None:
    names = ["put-and-get", "seen-whole", "killed-at-random"]
    levels = ["core", "atomic", "crash-safe"]
    words = [*(f"--check={name}" for name in names), *(f"--level={level}" for level in levels)]
    done = here("conform", f"sqlite:///{tmp_path}/state.db", "--quick", *words)
    assert done.code == 0, done.out
    assert "holds what it claims (3 of 3 checks kept" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing", "is no URL and no module:Class"),
        ("nowhere://x", "no backend for scheme"),
        ("holdfast.store:Nothing", "there is no holdfast.store:Nothing"),
        ("holdfast.store:ABSENT", "is no class, callable or Subject"),
    ],
)
def test_what_is_no_target(here: Here, target: str, said: str) -> None:
    done = here("conform", target)
    assert done.code == 2
    assert said in done.err


def test_targets(wrong: Path, tmp_path: Path) -> None:
    with at(f"{wrong}:store") as subject:
        assert subject.make("x").namespace == "x"
    with at("holdfast.testing.own_adapter:FourMethods") as subject:
        assert subject.adapter
    with at(f"file:{tmp_path}/data") as subject:
        assert subject.address is not None
        assert f"{tmp_path}/data/conform-" in subject.address("x")
    with pytest.raises(InvalidOption), at("memory:?nothing"):
        pass


def pytest_run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    plugin = ["-p", "no:cacheprovider"]
    (cwd / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_plugin_makes_tests_of_the_checks(tmp_path: Path) -> None:
    (tmp_path / "test_of_my_own.py").write_text("def test_it():\n    raise AssertionError\n")
    done = pytest_run("--holdfast-store", "memory", "--holdfast-level", "core", "-v", cwd=tmp_path)
    assert "test_conforms[core-put-and-get]" in done.stdout, done.stdout + done.stderr
    assert "test_of_my_own" not in done.stdout
    assert done.returncode == 0


def test_the_plugin_says_what_broke(tmp_path: Path, wrong: Path) -> None:
    words = ["--holdfast-store", f"{wrong}:subject", "--holdfast-level", "core", "-k", "core-streams"]
    done = pytest_run("-q", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert "broken: a stream yields its events oldest first" in done.stdout


def test_the_plugin_loads_nothing_where_nobody_asks_for_it() -> None:
    code = (
        "import sys, holdfast.testing.pytest_plugin; "
        "print([m for m in sys.modules if m.startswith(('msgspec', 'holdfast.store', 'hypothesis', 'pytest'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_every_check_has_a_name_and_a_promise_of_its_own() -> None:
    found = all_checks()
    assert len({one.name for one in found}) == len(found)
    assert len({one.promise for one in found}) == len(found)
    assert {one.level for one in found} >= set(list(Level)[:4])


def test_a_check_of_ones_own() -> None:
    from holdfast.testing.conformance import checks

    before = dict(checks._REGISTERED)
    try:

        @check("core", promise="it is mine")
        async def mine(case: object) -> None:
            raise Broken("it is not")

        assert all_checks(Level.CORE)[-1].name == "mine"
    finally:
        checks._REGISTERED.clear()
        checks._REGISTERED.update(before)


def test_what_cannot_be_examined_is_one_sentence_and_exit_code_2(here: Here, tmp_path: Path) -> None:
    """Not 1, which says that it was, and is not sound."""
    (tmp_path / "mine.py").write_text("def store(namespace): raise TypeError('a slip')\n")
    for words, said in [
        (["memory", "--check", "put-get"], "there is no check 'put-get' (did you mean put-and-get?)"),
        (["redis://127.0.0.1:1/0"], "no server listens on that port"),
        ([f"{tmp_path}/mine.py:store"], "cannot be opened: TypeError: a slip"),
        ([f"{tmp_path}/none.py:store"], "there is no file"),
        (["file:./x?mode=ro"], "mode=ro only reads"),
        (["file:./x?replica=file%3A.%2Fy%3Fnamespace%3Dz"], "leave the namespace of replica out"),
    ]:
        done = here("conform", *words)
        assert done.code == 2
        assert said in done.err
        assert len(done.err.splitlines()) == 1


def is_there(folder: Path, name: str) -> bool:
    """Whether there is something of that name, in a folder whose folders come and go."""
    try:
        return any(folder.rglob(name))
    except FileNotFoundError:  # one has gone just now
        return False


@pytest.mark.crash
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C at a terminal: everybody in the foreground is told at once."""
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    store.mkdir()
    temporary.mkdir()
    words = ["sqlite:///state.db", "--thorough", "--check", "put-and-get", "--check", "killed-at-random"]
    running = subprocess.Popen(
        [*COMMAND, "conform", *words], cwd=store, env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    with running:
        assert running.stdout is not None
        while "put-and-get" not in running.stdout.readline():
            assert running.poll() is None
        while not is_there(temporary, "bank-*"):  # processes are about to be killed
            assert running.poll() is None
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGINT)
        said = running.stdout.read()
    assert (running.returncode, said) == (130, "error: interrupted\n")
    assert [*store.iterdir(), *temporary.iterdir()] == []


def test_who_gives_no_answer_in_time_is_not_accused(bench: Bench) -> None:
    """The machine may be to blame; it is not passed either."""

    class Silent(MemoryStore):
        async def commit(self, *changes: object, **options: object) -> str:
            await asyncio.Event().wait()
            raise AssertionError

    subject = Subject.of_factory(
        lambda namespace: Silent(namespace=namespace), claims=[Level.CORE], keeps=False
    )
    report = examine(subject, only=["put-and-get"], bench=bench, pace=Pace(times=1.0, limit=0.05))
    assert [result.state for result in report.results] == ["not shown"]
    assert report.results[0].said.startswith("it was not over after 0.05 s")
    assert not report.sound


def test_of_many_values_the_one_that_is_refused_is_shown(bench: Bench) -> None:
    class Picky(MemoryStore):
        async def commit(self, changes: Sequence[Change], **options: Any) -> CommitId:
            if any(isinstance(one, Put) and one.value == {"é": "\U0001f600", "a\x00": 1} for one in changes):
                raise InvalidValue("a NUL in a name")
            return await super().commit(changes, **options)

    subject = Subject.of_factory(
        lambda namespace: Picky(namespace=namespace), claims=[Level.CORE], keeps=False
    )
    (result,) = examine(subject, only=["hard-values"], bench=bench, pace=Pace(times=0.1)).results
    assert result.state == "broken"
    assert len(result.history) == 2  # the commit, and closing
    assert result.history[0].endswith("1}] -> InvalidValue: 'a NUL in a name'")


def test_a_server_that_the_kit_was_not_told_of_is_noticed(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        class Served(MemoryStore):
            async def open(self) -> None:
                await super().open()
                self.connection = socket.create_connection(server.getsockname())

            async def close(self) -> None:
                self.connection.close()
                await super().close()

        subject = Subject.of_factory(lambda namespace: Served(namespace=namespace), claims=[Level.CORE])
        examine(subject, only=["empty"], bench=bench)
        assert subject.found.peers == (f"127.0.0.1:{server.getsockname()[1]}",)
        assert subject.lacks("served") == ""


def test_places_of_replicas_are_beside_and_removed(tmp_path: Path) -> None:
    replica = quote(f"file:{tmp_path}/far/away", safe="")
    with at(f"sqlite:///{tmp_path}/new/state.db?cache=10&replica={replica}") as subject:
        store = subject.make("x")

        async def use() -> None:
            async with store:
                await store.commit([Put(Key("a", "b"), 1)])

        asyncio.run(use())
        assert subject.replica is not None
        assert "far/away/conform-" in subject.replica("x")
        assert subject.at_folder is not None
        assert subject.at_folder("/f") == "sqlite:////f/made/state.db?cache=10"
        assert {path.name for path in tmp_path.iterdir()} == {"new", "far"}
    assert list(tmp_path.iterdir()) == []
