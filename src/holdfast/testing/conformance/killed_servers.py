"""Crash-safe: the server killed under load, and started again. What it acknowledged is there, once."""

import asyncio
from pathlib import Path

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.killed import bank_at, condemned, has_committed
from holdfast.testing.conformance.served import server_of
from holdfast.testing.workloads import prepare

__all__ = ()


@check(Level.CRASH_SAFE, promise="where its server was killed under load, it has lost, doubled and torn nothing",
       needs=("elsewhere", "served"))  # fmt: skip
async def server_killed(case: Case) -> None:
    """Kill the server while processes write and read, start it again, let them go on."""
    server = server_of(case)
    address = case.address(case.namespace())
    await prepare(address)
    logs: list[Path] = []
    turns = case.much(2)
    everyone = [None, None] if case.subject.found.shared else [None]
    for _ in range(turns):
        living = asyncio.ensure_future(bank_at(case, address, logs, everyone, limit=case.pace.limit / 2))
        await asyncio.sleep(0)  # the logs have names only then
        newest = logs[-len(everyone) :]
        await _more(newest, living)
        await asyncio.sleep(case.random.random() * 0.4)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await _more(newest, living)
        stop = case.folder / "stop"
        stop.touch()
        await living
        stop.unlink()
    await condemned(case, address, logs)
    case.tell(server_kills=turns)


async def _more(logs: list[Path], living: "asyncio.Future[None]") -> None:
    """Wait until each process has had a commit more acknowledged: none is about to open its store, then."""
    before = [has_committed(log) for log in logs]
    while not living.done() and any(has_committed(log) <= n for log, n in zip(logs, before, strict=True)):
        await asyncio.wait({living}, timeout=0.005)
