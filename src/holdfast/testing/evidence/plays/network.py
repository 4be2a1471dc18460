"""Networks that fail under load: a seed is some harms in an order drawn from it, each done before the next begins.

Clients commit and read through a proxy and beside it, round after round on fresh keys, until all harms are done; each
round is a history that is judged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from holdfast.store import Store
from holdfast.testing.conformance.case import Bench, Case
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.conformance.clients import Client
from holdfast.testing.conformance.judging import explained, recorded
from holdfast.testing.conformance.looking import look
from holdfast.testing.evidence.backends import backend, options_of
from holdfast.testing.evidence.plays.histories import history
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.linear import Operation
from holdfast.testing.own_adapter import MAKE
from holdfast.testing.servers.process import ServerProcess
from holdfast.testing.servers.proxy import Proxy

__all__ = ("HARMS", "QUICK", "harmed_by", "network")

QUICK: Final = "connect_timeout=1&read_timeout=1&commit_timeout=1"
STOPPED: Final = 1.3
"""Seconds: longer than anybody waits for an answer, by the options above."""

LIMIT: Final = 60.0
HARMS: Final = ("connections reset", "requests lost", "answers lost", "server stopped", "network slow")


@contextmanager
def network(target: str) -> Iterator[Play]:
    """Yield what harms the connections of a backend with a server."""
    with backend(target) as subject:
        if subject.server is None:
            raise NotShown("the kit was given no handle on its server")
        subject.found = asyncio.run(look(subject))
        with Bench(preload=subject.preload) as bench:
            yield lambda seed: _found(history(harmed_by(*HARMS), subject, bench, seed))


def _found(found: Found) -> Found:
    return Found({**dict.fromkeys(HARMS, 0), **found.counts}, found.broken)


def harmed_by(*harms: str) -> Callable[[Case], Awaitable[None]]:
    """Return a history during which all of these happen, in an order drawn from the seed."""

    async def harmed(case: Case) -> None:
        server = case.subject.server
        assert server is not None
        address = case.address(case.namespace())
        if not address.startswith(MAKE):  # what a callable makes is as quick as it wants to be
            address = options_of(address, QUICK)
        async with Proxy("127.0.0.1", server.port) as proxy, case.closed_store_at(address) as beside:
            through = case.closed_store_at(address.replace(f":{server.port}", f":{proxy.port}"))
            async with through:
                harming = asyncio.ensure_future(_all_harms(case, proxy, server, harms))
                try:
                    known = await _rounds(case, [through, through, beside], harming)
                finally:
                    harming.cancel()
                    await asyncio.wait({harming})
                harming.result()
            await recorded(case, beside, known)

    return harmed


async def _rounds(case: Case, stores: list[Store], harming: "asyncio.Future[None]") -> list[Operation]:
    """Return all that clients asked and were told, round after round until nothing is harmed any more."""
    everything_told: list[Operation] = []
    number = 0
    while not harming.done() or not number:
        number += 1
        keys = [f"{name}{number}" for name in "abc"]
        crowd = [
            Client(store, f"r{number}c{i}", keys, seed=f"{case.random.random()}")
            for i, store in enumerate(stores)
        ]
        await asyncio.gather(*(client.run(20) for client in crowd))
        told = [one for client in crowd for one in client.history]
        await explained(case, told)
        everything_told += told
    return everything_told


async def _all_harms(case: Case, proxy: Proxy, server: ServerProcess, harms: Sequence[str]) -> None:
    done: Mapping[str, Callable[[], Awaitable[None]]] = {
        "connections reset": lambda: _reset(proxy),
        "requests lost": lambda: _request_lost(proxy),
        "answers lost": lambda: _answer_lost(proxy, case.random.randint(1, 3)),
        "server stopped": lambda: _stopped(server),
        "network slow": lambda: _slow(proxy, 0.1 + 0.4 * case.random.random()),
    }
    for harm in case.random.sample(harms, len(harms)):
        await done[harm]()
        case.tell(**{harm.replace(" ", "_"): 1})


async def _reset(proxy: Proxy) -> None:
    await _until(lambda: proxy.held > 0)
    proxy.cut()


async def _request_lost(proxy: Proxy) -> None:
    before, proxy.lose_request = proxy.never_sent, True
    await _until(lambda: proxy.never_sent > before)


async def _answer_lost(proxy: Proxy, nth: int) -> None:
    before, proxy.lose_nth = proxy.lost, nth
    await _until(lambda: proxy.lost > before)


async def _stopped(server: ServerProcess) -> None:
    server.pause()
    try:
        await asyncio.sleep(STOPPED)  # the harm itself: as long as that, nobody is answered
    finally:
        server.resume()


async def _slow(proxy: Proxy, seconds: float) -> None:
    await _until(lambda: proxy.held > 0)
    proxy.hold = True
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.hold = False


async def _until(condition: Callable[[], bool]) -> None:
    """Return once something is so: clients are at work all the time, so that it will be."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise NotShown(f"no client came by in {LIMIT:g} s")
        await asyncio.sleep(0.002)
