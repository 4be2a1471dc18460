"""Signals of a live run: the first SIGINT or SIGTERM lets go in good order, a SIGINT after it ends the process."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Final, Self

from holdfast.cli import codes

__all__ = ("LettingGo",)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
ECHO: Final = 0.3
"""Seconds in which a signal is the first one again: wrappers pass on what the terminal has sent already."""


class LettingGo:
    """While inside, signals call `detach` in the running loop; `asked` says whether one came."""

    def __init__(self, detach: Callable[[], None], note: Callable[[str], None]) -> None:
        self._detach = detach
        self._note = note
        self._since = 0.0
        self.asked = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        now = asyncio.get_running_loop().time()
        if not self.asked:
            self.asked, self._since = True, now
            self._note(
                "letting go after this step; positions and orders stay as they are. Ctrl-C again ends at once"
            )
            self._detach()
        elif number == signal.SIGINT and now - self._since > ECHO:
            # As good as kill -9, which everything here is made for.
            os._exit(codes.INTERRUPTED)
