"""Fault-tolerant: a flush that fails. What it was to make durable is gone from the kernel's list of what to write.

The next flush of the same file succeeds, and reading brings the bytes back, from memory. strace makes flushes fail; the
explorer knows what a power cut leaves then.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.store import Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.power_safe import folder_address, recovered, traced
from holdfast.testing.conformance.script import Script, state_of
from holdfast.testing.explorer import explore, mark, marked
from holdfast.testing.explorer.operations import FailedFlush, Flush, FlushAll, FlushFolder, Mark, Trace
from holdfast.testing.own_adapter import store_of

__all__ = ("carries_on",)

COMMITS: Final = 2
TRIES: Final = 3
MOST: Final = 3
"""States of one point."""


@check(Level.FAULT_TOLERANT, promise="what was acknowledged, or seen, after a flush failed survives a power cut",
       needs=("in-folder", "lasting", "strace"))  # fmt: skip
def flush_failed(case: Case) -> None:
    """Have one flush fail, let the store carry on, and recover what a power cut may then leave at each point."""
    address = folder_address(case)
    undisturbed = traced(case, carries_on, address)
    faults = list(_flushes(case, undisturbed))
    if not faults:
        raise NotShown("it flushes nothing")
    for turn, fault in enumerate(faults):
        if turn >= case.much(3) and case.counts.get("failed flushes"):
            break
        disturbed = traced(case, carries_on, address, fault)
        failed = [at for at, one in enumerate(disturbed.operations) if isinstance(one, FailedFlush)]
        if failed:
            _explored(case, disturbed, address, failed[0])
    if not case.counts.get("failed flushes"):
        raise NotShown("none of its flushes was made to fail")


def _flushes(case: Case, undisturbed: Trace) -> Iterator[str]:
    """Yield the faults, one for each flush; first those of files in which a commit is."""
    first, others = list[str](), list[str]()
    asked = False
    for one in undisturbed.operations:
        asked = asked or (isinstance(one, Mark) and one.text.startswith("asked"))
        if isinstance(one, Flush | FlushFolder | FlushAll):
            fault = f"{one.text.split()[0]}:error=EIO:when={one.nth}"
            (first if asked and isinstance(one, Flush) else others).append(fault)
    for some in (list(dict.fromkeys(first)), list(dict.fromkeys(others))):
        case.random.shuffle(some)
        yield from some


def _explored(case: Case, disturbed: Trace, address: str, since: int) -> None:
    found = explore(
        disturbed, recovered(address, case.seed), most=MOST, seed=case.seed, since=since,
        until=lambda one: one.failed > 0,
    )  # fmt: skip
    case.tell(failed_flushes=1, states=found.states)
    if found.shortest is not None:
        case.broken("; ".join(found.shortest.problems), found.shortest.history.splitlines())


def carries_on(folder: str, address: str, seed: str) -> None:
    """Make the first commits of a script, and make each again that failed, opening anew where need be."""
    asyncio.run(_carries_on(address.replace("{folder}", folder), Script(int(seed))))


async def _carries_on(address: str, script: Script) -> None:
    for _ in range(TRIES):
        with suppress(HoldfastError):
            async with store_of(address) as store:
                await _made(store, script)
                return


async def _made(store: Store, script: Script) -> None:
    state = await state_of(store)
    asked = max((int(line.split()[1]) for line in marked() if line.startswith("asked ")), default=0)
    begin = next((number for number in range(asked, -1, -1) if script.after(number) == state), None)
    if begin is None:
        mark(f"found {asked + 1}")  # which it is not: whoever recovers says what is there
        return
    mark(f"found {begin}")
    for number in range(begin + 1, COMMITS + 1):
        await _insists(store, script, number)


async def _insists(store: Store, script: Script, number: int) -> None:
    """Commit, and again on the same store if that failed; raises what the last try raised."""
    changes, commit_id = script.commit(number - 1)
    for left in (1, 0):
        mark(f"asked {number}")
        try:
            await store.commit(changes, commit_id=commit_id)
        except HoldfastError:
            if not left:
                raise
        else:
            mark(f"done {number}")
            return
