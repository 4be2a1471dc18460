"""The ways in: the command line and the pytest plugin (the classes are used in test_backends.py)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import InvalidOption
from holdfast.testing.conformance import Broken, Level, check
from holdfast.testing.conformance.checks import all_checks
from holdfast.testing.conformance.target import at
from tests.cli.builders import Here

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
