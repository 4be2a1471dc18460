"""Every command by name, loaded when it is used, and what an error of one means for the exit code."""

import os
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from typing import Final

from cyclopts import App, CycloptsError

from holdfast.cli import codes
from holdfast.cli.lines import moment
from holdfast.cli.output import Output
from holdfast.errors import HoldfastError, InvalidOption, StoreInUse

__all__ = ("app_for", "run", "sentence")

SUMMARY: Final = """Backtest and live-trade strategies whose state survives kill -9, power loss and restarts.

Each command has an example in its own --help. With --json it prints one JSON object a line, the last one a summary,
and everything else goes to stderr. An error is one sentence on stderr; --traceback shows where it came from.
"""
EPILOGUE: Final = """
Exit codes: 0 done; 1 something was found, or failed on the way; 2 it could not run as asked (usage, target,
store in use); 130 interrupted.
"""
TRACEBACK: Final = "HOLDFAST_TRACEBACK"

COMMANDS: Final = {
    "backtest": ("holdfast.cli.backtest:backtest", "Run a strategy over recorded candles."),
    "live": ("holdfast.cli.live:live", "Trade, and carry on where an earlier run was, however it ended."),
    "demo": ("holdfast.cli.demo:demo", "Trade while being killed again and again, and lose nothing."),
    "candles": ("holdfast.cli.candles:candles", "Write made-up candles to a file, to try things with."),
    "exchange-sim": ("holdfast.cli.exchange_sim:exchange_sim", "Run a simulated exchange to trade on."),
    "conform": (
        "holdfast.cli.conform:conform",
        "Examine a backend, your own too: does it keep what it claims?",
    ),
    "store": (
        "holdfast.cli.store:STORE",
        "Look into a store, also while a bot uses it; verify it, copy it, move it.",
    ),
}


def app_for(words: Sequence[str]) -> App:
    """Return the command line: of the command that is asked for all, of the others no more than what they are."""
    app = App(
        name="holdfast",
        help=SUMMARY,
        help_epilogue=EPILOGUE,
        version=lambda: f"holdfast {version('holdfast')}",
        suppress_keyboard_interrupt=False,
    )
    for place, (name, (path, summary)) in enumerate(COMMANDS.items()):
        # A summary of ours would stand in the place of the command's own help.
        app.command(path, name=name, sort_key=place, help=None if name in words else summary)
    return app


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; what Holdfast raises on purpose becomes one sentence on stderr."""
    asked = [*argv]
    words = [word for word in asked if word != "--traceback"]
    output = Output(json="--json" in words)
    try:
        _check_command(words)
        code = app_for(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
        return code if isinstance(code, int) else codes.DONE
    except BrokenPipeError:
        output.abandon()
        return codes.FOUND
    except (CycloptsError, HoldfastError, KeyboardInterrupt, OSError) as error:
        if isinstance(error, OSError) and not codes.is_of_a_path(error):
            raise
        if os.environ.get(TRACEBACK) or words != asked:
            traceback.print_exception(error)
        output.error(sentence(error, words), kind=type(error).__name__)
        return codes.of(error)


def _check_command(words: Sequence[str]) -> None:
    # cyclopts would load every command to find one that looks alike.
    for word in words[:1]:
        if word not in COMMANDS and not word.startswith("-"):
            alike = "".join(f" (did you mean {name}?)" for name in get_close_matches(word, COMMANDS, 1))
            raise InvalidOption(f"there is no command {word!r}{alike}. See `holdfast --help`.")


def sentence(error: BaseException, words: Sequence[str]) -> str:
    """Return what somebody who gave these words is told of an error; never raises."""
    match error:
        case CycloptsError():
            return f"{error} See `{_help_of(words)}`."
        case KeyboardInterrupt():
            return "interrupted"
        case StoreInUse(facts={"pid": pid, "host": host, "since": int(since)}) if since:
            who = f"process {pid} on {host} since {moment(since)} UTC"
            return f"{who} has the store open: stop that one, or give this one a --store or --namespace of its own"
        case OSError(filename=name) if name is not None:
            return f"{name}: {error.strerror}"
    return str(error)


def _help_of(words: Sequence[str]) -> str:
    known = [word for word in words[:1] if word in COMMANDS]
    return " ".join(["holdfast", *known, "--help"])
