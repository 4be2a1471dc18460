"""Judges what clients were told: one order explains all of it, and the stream of commits has each that counts once."""

import asyncio
from collections.abc import Sequence

from holdfast.store import Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.conformance.clients import LOG, unsound, wrong_in
from holdfast.testing.linear import Operation, Undecided

__all__ = ("decided", "explained", "judge", "recorded")


async def judge(case: Case, store: Store, history: Sequence[Operation]) -> None:
    """Fail unless the stream of all commits has each that counts once, and one order explains a history."""
    await recorded(case, store, history)
    await explained(case, history)


async def recorded(case: Case, store: Store, history: Sequence[Operation]) -> None:
    """Fail unless the stream of all commits has each that counts once."""
    if said := unsound(history, await everything(store.read(LOG))):
        case.broken(said[0], said[1:8])


async def explained(case: Case, history: Sequence[Operation]) -> None:
    """Fail unless one order explains a history, and count it; one that is too much to be judged counts for none."""
    try:
        wrong = await asyncio.to_thread(wrong_in, history)
    except Undecided:  # much was unknown, or at once: nobody is to blame
        case.tell(undecided=1, operations=len(history))
        return
    case.tell(histories=1, operations=len(history))
    if wrong is not None:
        case.broken(*wrong)


def decided(case: Case) -> None:
    """Raise NotShown where no history could be judged."""
    if not case.counts.get("histories"):
        raise NotShown("too much was unknown, or happened at once, to be judged")
