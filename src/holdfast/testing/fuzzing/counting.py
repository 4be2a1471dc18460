"""A campaign of fuzzing counted into the ledger of all that was tried, beside what the other ways count there."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.testing.evidence.ledger import Broken, Ledger, Stint
from holdfast.testing.evidence.versions import holdfast_version, machine, today

__all__ = ("Counting",)

PLACE: Final = {"way": "fuzzing", "target": "all"}


class Counting:
    """Counts into the ledger at a path, from when it is made: target by target, as they come to an end."""

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger(path)
        self._machine = machine()
        self._ledger.add(self._machine)
        self._last = time.monotonic()

    def count(self, inputs: int, crashes: Mapping[str, str], *, replay: str) -> None:
        """Add what a target was fed, and what broke (kinds, with the files of their inputs) as broken promises."""
        now = time.monotonic()
        facts: dict[str, Any] = {
            **PLACE, "holdfast": holdfast_version(), "date": today(), "machine": self._machine.name,
        }  # fmt: skip
        counts = {"inputs": inputs, "crashes": len(crashes)}
        stint = Stint(**facts, seconds=round(now - self._last, 1), counts=counts)
        broken = [
            Broken(**facts, seed=0, said=kind, replay=replay.format(path)) for kind, path in crashes.items()
        ]
        self._ledger.add(stint, *broken)
        self._last = now
