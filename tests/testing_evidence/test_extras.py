"""What is not installed is named, in a sentence, and accuses nobody."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from holdfast.testing import extras
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.plays import whole
from holdfast.testing.evidence.ways import Play
from holdfast.testing.fuzzing.campaign import main as fuzz
from holdfast.testing.simulation.command import main as simulate


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing installed but what Holdfast cannot do without."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("command", "words", "needed"),
    [(simulate, ["--only", "1"], "encrypt,metrics"), (fuzz, ["redis.reads"], "mongo,redis")],
)
def test_a_command_says_what_to_install_and_ends_with_2(
    command: Callable[[list[str]], int], words: list[str], needed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(words) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert f"pip install 'holdfast[{needed}]'" in line


@pytest.mark.parametrize("play", [whole.simulation, whole.fuzzing])
def test_a_campaign_shows_nothing_of_it(play: Callable[[str], AbstractContextManager[Play]]) -> None:
    with pytest.raises(NotShown, match="pip install"), play("all"):
        pass
