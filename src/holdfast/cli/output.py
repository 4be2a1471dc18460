"""What a command prints: for people, or with `--json` one object a line on stdout and the rest on stderr."""

import errno
import json
import os
import sys
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

__all__ = ("Output",)

WIDE: Final = 160
"""How wide a table may be where no terminal says otherwise."""


class _Console(Console):
    """A console that raises where nobody reads any more; rich would end the process, and with it the trading."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Output:
    """The two ways to say something; a command says it once, and this knows which way was asked for."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.out = _Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
        self.err = _Console(stderr=True, highlight=False, emoji=False)

    @property
    def to_people(self) -> bool:
        """Whether a person watches stderr, so that a progress bar is of use."""
        return self.err.is_terminal

    def record(self, kind: str, facts: Any) -> None:
        """Print an object of this type as one line of JSON; nothing without `--json`."""
        if self.json:
            self.out.file.write(_json({"type": kind, **facts}) + "\n")
            self.out.file.flush()

    def say(self, what: RenderableType = "") -> None:
        """Print for people, on stdout; nothing with `--json`. Lines are never cut or wrapped, tables may be."""
        if not self.json:
            _print(self.out, what)

    def note(self, what: RenderableType) -> None:
        """Tell people, on stderr, with `--json` too."""
        _print(self.err, what)

    def error(self, message: str, *, kind: str) -> None:
        """Say in one sentence what went wrong, on stderr, and with `--json` as the last object too."""
        self.note(Text.assemble(("error:", "bold red"), " ", message))
        self.record("error", {"error": kind, "message": message})

    def abandon(self) -> None:
        """Write nothing more to stdout: whoever read has gone, and the last flush at exit must not complain."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer."""
        return sys.stdin.isatty() and self.err.is_terminal

    def confirm(self, question: str) -> bool:
        """Ask a person; anything but yes is no."""
        try:
            return self.err.input(f"{question} \\[y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False


def _json(facts: Any) -> str:
    """Return JSON; what came from bytes that are no UTF-8 (a word of the command, a file's name) is escaped in it."""
    try:
        return msgspec.json.encode(facts).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(facts))


def _print(console: Console, what: RenderableType) -> None:
    text = Text(what) if isinstance(what, str) else what
    console.print(text, soft_wrap=isinstance(text, Text))
