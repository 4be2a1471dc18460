"""Signals of a live run: the first SIGINT or SIGTERM lets go in good order, a SIGINT after it ends the process."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Self

from holdfast.cli import codes

__all__ = ("LettingGo",)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LettingGo:
    """While inside, signals call `detach` in the running loop; `asked` says whether one came."""

    def __init__(self, detach: Callable[[], None], note: Callable[[str], None]) -> None:
        self._detach = detach
        self._note = note
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
        if self.asked and number == signal.SIGINT:
            # As good as kill -9, which everything here is made for.
            os._exit(codes.INTERRUPTED)
        if not self.asked:
            self.asked = True
            self._note(
                "letting go after this step; positions and orders stay as they are. Ctrl-C again ends at once"
            )
            self._detach()
