"""What processes of the hazard tests run besides the bank itself."""

import signal
import threading
from collections.abc import Sequence
from typing import Any

from holdfast import points
from holdfast.store import Change, CommitId, Store
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing import workloads
from holdfast.testing.own_adapter import store_of

__all__ = ("stopping_at", "stopping_bank", "stopping_before_commit")


async def stopping_bank(*, stop_at: str, nth: int = 1, **arguments: Any) -> Any:
    """Be a process of the bank that stops itself with SIGSTOP, once: at a crash point, or between read and commit."""
    if stop_at:
        stopping_at(stop_at, nth)
    else:
        stopping_before_commit(nth)
    return await workloads.bank(**arguments)


def stop_here() -> None:
    """Stop the process in this very call: sent to the process, the signal would leave this thread time to go on."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stopping_at(at: str, nth: int) -> None:
    """Let the process stop when it comes to a point for the `nth` time."""
    before, count = points.reached, 0

    def reached(point: str) -> None:
        nonlocal count
        before(point)
        if point == at:
            count += 1
            if count == nth:
                stop_here()

    points.reached = reached


class _Stopping(Wrapper):
    nth = 1
    count = 0

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        if len(changes) > 2:  # it rests on something that was read
            _Stopping.count += 1
            if _Stopping.count == _Stopping.nth:
                stop_here()
        return await self.inner.commit(changes, commit_id=commit_id, vital=vital)


def stopping_before_commit(nth: int) -> None:
    """Let the process stop between the reading for its `nth` transfer and the commit of it."""
    _Stopping.nth = nth
    before: Any = vars(workloads)["store_of"]

    def opened(url: str) -> Store:
        return _Stopping(before(url))

    vars(workloads)["store_of"] = opened


def check_first_then_stop() -> None:
    """Look whether all is as expected, stop, and write without looking again: the order that loses updates."""
    from tests.hazards.mutants import CheckFirst

    _Stopping.nth = 1

    vars(workloads)["store_of"] = lambda url: CheckFirst(_Stopping(store_of(url)))
