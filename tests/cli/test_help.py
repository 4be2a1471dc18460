import pytest

from holdfast.cli.app import COMMANDS
from holdfast.cli.store import COMMANDS as COMMANDS_OF_STORE
from tests.cli.builders import Here

EXAMPLES = [name for name in COMMANDS if name not in ("store", "demo")]
IN_STORE = [*COMMANDS_OF_STORE]


def test_help_lists_every_command_and_the_exit_codes(here: Here) -> None:
    done = here("--help")
    assert done.code == 0
    assert all(f"│ {name} " in done.out for name in COMMANDS)
    assert "Exit codes: 0 done; 1 " in done.out


@pytest.mark.parametrize("words", [*([name] for name in EXAMPLES), *(["store", name] for name in IN_STORE)])
def test_help_of_each_command_has_an_example(here: Here, words: list[str]) -> None:
    done = here(*words, "--help")
    assert done.code == 0
    assert f"Example: holdfast {' '.join(words)}" in " ".join(done.out.split())


def test_version(here: Here) -> None:
    assert here("--version").out.startswith("holdfast ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["candels"], "candels' (did you mean candles?)"),
        (["candles"], "OUT"),
        (["candles", "x.csv", "--minutes", "many"], "--minutes"),
        (["store", "ls", "--nothing"], "--nothing"),
        (["live", "bot.py", "--adopt", "--flatten"], "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_code_2(here: Here, words: list[str], said: str) -> None:
    done = here(*words)
    assert done.code == 2
    assert done.out == ""
    [sentence] = done.err.splitlines()
    assert sentence.startswith("error: ")
    assert said in sentence


def test_a_traceback_is_shown_when_it_is_asked_for(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("backtest", "nowhere.py", "--symbol", "BTCUSDT")
    assert "Traceback" not in here(*words).err
    assert "Traceback" in here(*words, "--traceback").err
    monkeypatch.setenv("HOLDFAST_TRACEBACK", "1")
    done = here(*words)
    assert "Traceback" in done.err
    assert done.code == 2


def test_with_json_an_error_is_the_last_object(here: Here) -> None:
    done = here("backtest", "nowhere.py", "--symbol", "BTCUSDT", "--json")
    assert done.objects[-1]["type"] == "error"
    assert done.objects[-1]["error"] == "InvalidTarget"
    assert "nowhere.py" in done.objects[-1]["message"]
    assert done.err.startswith("error: ")
