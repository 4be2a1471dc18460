"""Crash-safe: the server killed under load, and started again. What it acknowledged is there, once."""

import asyncio
from pathlib import Path

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.killed import bank_at, condemned
from holdfast.testing.workloads import prepare

__all__ = ()


@check(Level.CRASH_SAFE, promise="where its server was killed under load, it has lost, doubled and torn nothing",
       needs=("elsewhere", "served"))  # fmt: skip
async def server_killed(case: Case) -> None:
    """Kill the server while processes write and read, start it again, let them go on."""
    server = case.subject.server
    if server is None:
        raise NotShown("the kit was given no handle on its server, so it cannot kill it")
    address = case.address(case.namespace())
    await prepare(address)
    logs: list[Path] = []
    turns = case.much(2)
    for _ in range(turns):
        living = asyncio.ensure_future(bank_at(case, address, logs, [(), ()], limit=1.2))
        await asyncio.wait({living}, timeout=0.3 + case.random.random() * 0.4)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await living
    await condemned(case, address, logs)
    case.tell(server_kills=turns)
