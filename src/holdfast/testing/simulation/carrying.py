"""Real threads of which one at a time goes on: so that jobs of a process meet each other half done, and yet repeatably.

A carrier does a job until the job `stands`; whoever let it go on waits for that, and lets it go on again when its time
has come. Nothing depends on the operating system's choice of who runs.
"""

import threading
from collections.abc import Callable
from typing import Final

__all__ = ("Carrier", "carrier", "stand")

_HERE: Final = threading.local()
_IDLE: Final[list["Carrier"]] = []


def _nothing() -> None:
    """Be the job of a carrier that has none."""


class Carrier:
    """A thread that does one job after another, and stands still in between, and wherever a job stands."""

    def __init__(self) -> None:
        self._job: Callable[[], object] = _nothing
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.standing = False
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def begin(self, job: Callable[[], object]) -> bool:
        """Do a job, which must not raise, until it stands; return whether it is done."""
        self._job = job
        return self.go_on()

    def go_on(self) -> bool:
        """Go on with the job until it stands again; return whether it is done."""
        self.standing = False
        self._go.release()
        self._stopped.acquire()
        if not self.standing:
            _IDLE.append(self)
        return not self.standing

    def stand(self) -> None:
        """Stand still until somebody lets it go on; called by the job."""
        self.standing = True
        self._stopped.release()
        self._go.acquire()

    def _run(self) -> None:
        _HERE.carrier = self
        while True:
            self._go.acquire()
            self._job()
            self._job = _nothing  # and nothing of its process is kept
            self._stopped.release()


def carrier() -> Carrier:
    """Return a carrier that is idle."""
    return _IDLE.pop() if _IDLE else Carrier()


def stand() -> None:
    """Stand still, where this is a carrier's thread; else do nothing."""
    here: Carrier | None = getattr(_HERE, "carrier", None)
    if here is not None:
        here.stand()
