"""Fault-tolerant: a server that hangs, is slow, or is not heard of any more, at each step of a commit."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from holdfast.errors import HoldfastError, Unavailable
from holdfast.store import Append, Key, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.insisting import hasty
from holdfast.testing.conformance.served import (
    behind,
    committed_once,
    insisted,
    server_of,
    through,
)
from holdfast.testing.servers.proxy import Proxy

__all__ = ()

LIMIT: Final = 40.0
"""When a call has not ended (s): on the busiest machine, and by the usual time-outs."""


@check(Level.FAULT_TOLERANT, promise="a commit whose connection is cut at any step, made again by its id, happens once",
       needs=("elsewhere", "served"))  # fmt: skip
async def connections_cut(case: Case) -> None:
    """Lose the request, then the first, second, … answer, wholly or its second half; then commit again."""
    namespace = case.namespace()
    async with behind(case) as proxy, case.closed_store_at(through(case, proxy, namespace)) as store:
        for nth in range(1 + max(case.much(2), 2)):
            for halves in (False, True):
                await _cut(case, proxy, store, nth, halves=halves)
        case.tell(requests_lost=proxy.never_sent, answers_lost=proxy.lost)


async def _cut(case: Case, proxy: Proxy, store: Store, nth: int, *, halves: bool) -> None:
    """Lose the request (0) or the nth answer from now on, and commit until it is known."""
    case.history.clear()
    name = f"cut-{nth}-{halves}"
    proxy.halves, proxy.lose_nth, proxy.lose_request = halves, nth, nth == 0
    await committed_once(case, store, name)
    proxy.lose_nth, proxy.lose_request = 0, False


@check(Level.FAULT_TOLERANT, promise="while its server hangs calls end in time, and what was unknown then happens once",
       needs=("elsewhere", "served"))  # fmt: skip
async def server_hung(case: Case) -> None:
    """Stop the server with SIGSTOP under commits, reads and an open; let it go on, and commit again."""
    server, namespace = server_of(case), case.namespace()
    hurried = hasty(case.address(namespace))
    async with case.closed_store(namespace) as patient:
        store = await _opened(case, hurried)
        try:
            server.pause()
            try:
                unknown = await _hung(case, store, case.closed_store_at(hurried))
            finally:
                server.resume()
            if not unknown and await everything(patient.read("hung")):
                case.broken("a commit was refused for certain, and has happened")
            for stream in ("hung", "cancelled"):
                await committed_once(case, patient, stream)
        finally:
            await _within(case, store.close(), "close")
    case.tell(hangs=1)


async def _hung(case: Case, store: Store, other: Store) -> bool:
    """Call everything while nobody answers; return whether the commit is unknown."""
    cancelled = asyncio.ensure_future(store.commit([Append("cancelled", 0)], commit_id="cancelled"))
    await asyncio.sleep(0)
    calls = [
        _refused(case, store.commit([Append("hung", 0)], commit_id="hung"), "commit"),
        _refused(case, store.get(Key("hung", "x")), "get"),
        _refused(case, other.open(), "open"),
    ]
    waiting = asyncio.gather(*calls)
    await asyncio.sleep(0.1)
    if cancelled.done() and cancelled.exception() is None:
        case.broken("a commit was acknowledged while the server was stopped")
    cancelled.cancel()
    await _within(case, asyncio.wait({cancelled}), "a commit that is cancelled")
    error, _, _ = await waiting
    return bool(error.facts.get("unknown"))


async def _refused(case: Case, call: Awaitable[Any], what: str) -> HoldfastError:
    try:
        await _within(case, call, what)
    except Unavailable as error:
        return error
    return case.broken(f"{what} was answered while the server could not be heard")


async def _within(case: Case, call: Awaitable[Any], what: str) -> None:
    """Wait for a call; one that does not end is what breaks the promise."""
    task, began = asyncio.ensure_future(call), time.monotonic()
    done, _ = await asyncio.wait({task}, timeout=min(LIMIT, case.pace.limit / 2))
    if not done:
        task.cancel()
        case.broken(f"{what} has not ended after {time.monotonic() - began:.0f} s")
    await task


@check(Level.FAULT_TOLERANT, promise="a slow server's answer is waited for: nothing is acknowledged before it",
       needs=("elsewhere", "served"))  # fmt: skip
async def server_slow(case: Case) -> None:
    """Stop the server for a moment under a commit and a read: they end when it goes on, and not before."""
    server = server_of(case)
    async with case.closed_store(case.namespace()) as store:
        await store.commit([Append("slow", 1)], commit_id="before")
        server.pause()
        try:
            committing = asyncio.ensure_future(store.commit([Append("slow", 2)], commit_id="slow"))
            await asyncio.wait({committing}, timeout=0.2)
            for _ in range(
                100
            ):  # whoever had lost patience by then gets to say so, however busy the machine is
                await asyncio.sleep(0)
            early = committing.done()
        finally:
            server.resume()
        await _within(case, committing, "a commit")
        if early:
            case.broken("a commit was acknowledged while the server was stopped")
        found = [event.value for event in await everything(store.read("slow"))]
        case.same(found, [1, 2], "the events of two commits")


@check(Level.FAULT_TOLERANT, promise="a commit is refused for certain only where it has not happened",
       needs=("elsewhere", "served"))  # fmt: skip
async def refused_for_certain(case: Case) -> None:
    """Lose every answer until the store gives up; where it says that the commit has not happened, look."""
    namespace = case.namespace()
    async with behind(case) as proxy, case.closed_store(namespace) as patient:
        store = await _opened(case, hasty(through(case, proxy, namespace)))
        try:
            proxy.lose_answers = True
            error = await _refused(case, store.commit([Append("lost", 0)], commit_id="lost"), "commit")
        finally:
            proxy.lose_answers = False
            await _within(case, store.close(), "close")
        if not error.facts.get("unknown") and await everything(patient.read("lost")):
            case.broken("a commit was refused for certain, and has happened")
        await committed_once(case, patient, "lost")
        case.tell(answers_lost=proxy.lost)


async def _opened(case: Case, address: str) -> Store:
    """Return an open store; it may take some tries where time-outs are short and the machine is busy."""

    async def opened() -> Store:
        store = case.closed_store_at(address)
        await store.open()
        return store

    return await insisted(case, "opening it", opened)
