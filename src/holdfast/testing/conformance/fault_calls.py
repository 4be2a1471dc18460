"""Fault-tolerant: the operating system refuses a call, whichever, with whatever errno."""

from collections.abc import Iterator
from typing import Final

import msgspec

from holdfast import points
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.faulted import ERRORS, Call, calls_in, injected, under_strace
from holdfast.testing.conformance.insisting import TRIES, Insisting, Told, WrongState
from holdfast.testing.conformance.script import Script, await_tracer
from holdfast.testing.crash import Life
from holdfast.testing.own_adapter import store_of

__all__ = ("LIMIT", "insists", "judged", "warmed")

COMMITS: Final = 3
LIMIT: Final = 60.0
"""When a child has hung (s)."""


@check(Level.FAULT_TOLERANT, promise="whichever call the system refuses, errors are typed, nothing is lost, it goes on",
       needs=("elsewhere", "strace"))  # fmt: skip
async def calls_refused(case: Case) -> None:
    """Have one call of a first use fail, the 1st, the 2nd, …, with each errno that it may fail with."""
    trace = await _lived(case, "")
    faults = list(_faults(case, calls_in(trace, case.folder)))
    if not faults:
        raise NotShown("none of its calls was seen")
    for turn, fault in enumerate(faults):
        if turn >= case.much(12) and case.counts.get("faults"):
            break
        await _lived(case, fault)
    if not case.counts.get("faults"):
        raise NotShown("none of its calls was made to fail")


def _faults(case: Case, calls: list[Call]) -> Iterator[str]:
    """Yield all faults in random order, but one of each kind of call first, writes before all."""
    every = [f"{call.name}:error={error}:when={call.nth}" for call in calls for error in ERRORS[call.name]]
    case.random.shuffle(every)
    kinds = {fault.partition(":")[0]: fault for fault in every if "EINTR" not in fault}
    first = [kinds[name] for name in ERRORS if name in kinds]
    yield from first
    yield from (fault for fault in every if fault not in first)


async def _lived(case: Case, fault: str) -> str:
    """Let a child live with a fault, look at what it has left, and return the trace."""
    trace, pid_file = case.folder / "trace", case.folder / "pid"
    address, warm = case.address(case.namespace()), case.address(case.namespace())
    options = ["-yy", "-o", str(trace), "-e", "trace=" + ",".join(f"?{call}" for call in ERRORS)]
    options += ["-e", f"inject={fault}"] if fault else []
    arguments = {"address": address, "warm": warm, "seed": case.seed, "traced": str(pid_file)}
    life = await under_strace(pid_file, case.live(insists, arguments, limit=LIMIT), options)
    log = trace.read_text(errors="replace")
    hits = injected(log, case.folder)
    if hits is None:
        # In another thread the call of that number was the kit's or Python's: this says nothing.
        case.tell(elsewhere=1)
        return log
    case.tell(**{"faults" if fault else "calls": hits if fault else len(calls_in(log, case.folder))})
    await judged(case, life, address, f"where {_said(fault)}", excused=hits >= TRIES)
    return log


def _said(fault: str) -> str:
    if not fault:
        return "nothing fails"
    call, error, nth = fault.split(":")
    return f"{call} number {nth.partition('=')[2]} fails with {error.partition('=')[2]}"


async def judged(case: Case, life: Life, address: str, where: str, *, excused: bool) -> None:
    """Fail unless what a child has left is what it was told, and goes on where nothing fails any more.

    `excused`: so much failed that the child itself may have given up.
    """
    if life.ended != "returned":
        case.broken(f"{where}, it {life.ended}: {life.error} {life.message}")
    told = msgspec.convert(life.answer, Told)
    if told.acknowledged <= COMMITS and not excused:
        case.broken(f"{where}, it does not go on", told.story)
    again = Insisting(Script(case.seed), lambda: case.closed_store_at(address), told)
    try:
        done = await again.lived(COMMITS + 2)
    except WrongState as error:
        case.broken(f"{where}, later: {error}", told.story)
    if not done:
        case.broken(f"{where}, it does not go on where nothing fails any more", again.told.story[-8:])


async def warmed(address: str, seed: int) -> Script:
    """Use a store once, so that all has been imported, and have the kit itself write nothing from now on."""
    points.reached = lambda point: None  # each would be written to a file
    script = Script(seed)
    async with store_of(address) as store:
        await store.commit(script.commit(0)[0])
    return script


async def insists(*, address: str, warm: str, seed: int, traced: str) -> Told:
    """Make the first commits of a script, reopen, and make one more; again and again what fails: what a child does.

    `warm` is a store that is used beforehand, untraced, so that everything that needs to has been imported.
    """
    script = await warmed(warm, seed)
    await_tracer(traced)
    life = Insisting(script, lambda: store_of(address))
    _ = await life.lived(COMMITS) and await life.lived(COMMITS + 1)
    return life.told
