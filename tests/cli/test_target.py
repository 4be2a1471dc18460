import sys
from pathlib import Path

import pytest

from holdfast.cli.target import load
from holdfast.errors import AlreadyRegistered, InvalidTarget
from holdfast.runtime.api import DESK

DESK_OF_ONE = """
from holdfast import Desk
desk = Desk()
@desk.strategy("one", interval="1m")
def one(ctx): ...
class box:
    inner = desk
empty = Desk()
number = 3
"""


@pytest.fixture(autouse=True)
def own_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])


def written(text: str, name: str = "bot.py") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def test_a_desk_in_a_file() -> None:
    assert [*load(written(DESK_OF_ONE) + ":desk").strategies] == ["one"]


def test_a_desk_further_in() -> None:
    assert [*load(written(DESK_OF_ONE) + ":box.inner").strategies] == ["one"]


def test_a_desk_in_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    written("", "bots_of_mine/__init__.py")
    written(DESK_OF_ONE, "bots_of_mine/one.py")
    assert [*load("bots_of_mine.one:desk").strategies] == ["one"]


def test_a_file_without_a_desk_means_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DESK, "strategies", {})
    written("from holdfast import strategy\n@strategy('plain', interval='1m')\ndef f(ctx): ...\n")
    assert load("bot.py") is DESK
    assert [*DESK.strategies] == ["plain"]


def test_a_file_sees_its_neighbours_and_hides_nobody() -> None:
    written("INTERVAL = '1m'", "bots/neighbour.py")
    text = DESK_OF_ONE.replace('"1m"', "INTERVAL")
    assert load(written("from neighbour import INTERVAL\n" + text, "bots/signal.py") + ":desk").strategies
    import signal

    assert signal.SIGTERM


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        ("bot.py", None, "there is no file bot.py"),
        ("bots/bot", None, "there is no file bots/bot"),
        ("bots", None, "there is no module 'bots'"),
        ("no.bots.here:desk", None, "there is no module 'no.bots.here'"),
        ("a-b", None, "there is no module 'a-b'"),
        ("bot.py", "import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("bot.py", "x = 1\ny = x.z", "line 2"),
        ("bot.py", "def f(:\n", "SyntaxError: invalid syntax"),
        ("bot.py", "raise SystemExit(3)", "SystemExit: 3"),
        ("bot.py:desk", "x = 1", "there is no 'desk' in it; its desks: none"),
        ("bot.py:desks", DESK_OF_ONE, "its desks: desk, empty"),
        ("bot.py:number", DESK_OF_ONE, "is no Desk but int"),
        ("bot.py:empty", DESK_OF_ONE, "registers no strategy on that desk"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(target: str, text: str | None, said: str) -> None:
    if text is not None:
        written(text)
    with pytest.raises(InvalidTarget) as error:
        load(target)
    assert said in str(error.value)
    assert error.value.target == target


def test_what_holdfast_refuses_in_a_target_is_raised_as_it_is() -> None:
    again = '@desk.strategy("one", interval="1m")\ndef two(ctx): ...\n'
    with pytest.raises(AlreadyRegistered, match="'one' is registered already"):
        load(written(DESK_OF_ONE + again))
