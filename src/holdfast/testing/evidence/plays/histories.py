"""Histories of about 400 operations, each judged by itself: a seed is one, and says what happens to its clients.

By turns: tasks on one store object or several; calls cancelled; processes; processes killed half-way, with others that
go on; connections cut and answers lost, where there is a server.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from holdfast.store import Store
from holdfast.testing.conformance.case import Bench, Case, Pace
from holdfast.testing.conformance.checks import Check, Level
from holdfast.testing.conformance.clients import Client, clients, history_of
from holdfast.testing.conformance.examining import made
from holdfast.testing.conformance.judging import judge
from holdfast.testing.conformance.looking import look
from holdfast.testing.conformance.served import behind, through
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.crash import Kill
from holdfast.testing.evidence.backends import backend
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.servers.proxy import Proxy

__all__ = ("OPERATIONS", "PACE", "histories", "history")

OPERATIONS: Final = 400
CLIENTS: Final = 4
KEYS: Final = ("a", "b", "c")
PACE: Final = Pace(times=1.0, limit=300.0)
CANCELS: Final = 0.2

Kind = Callable[[Case], Awaitable[None]]


@contextmanager
def histories(target: str) -> Iterator[Play]:
    """Yield what makes and judges a history on a backend."""
    with backend(target) as subject:
        subject.found = asyncio.run(look(subject))
        kinds = _kinds(subject)
        with Bench(preload=subject.preload) as bench:
            yield lambda seed: history(kinds[seed % len(kinds)], subject, bench, seed)


def history(kind: Kind, subject: Subject, bench: Bench, seed: int) -> Found:
    """Return what came of one history, as of a check of the kit."""
    check = Check(
        name=getattr(kind, "__name__", "history"), level=Level.CONCURRENT, needs=(), run=kind,
        promise="one order of whole commits explains what every client was told",
    )  # fmt: skip
    result = made(check, subject, bench, seed=seed, pace=PACE)
    if result.state == "broken":
        said = "\n".join([f"{result.name}: {result.said}", *result.history])
        return Found({**result.counts, "histories broken": 1}, (said,))
    unshown = {"histories not shown": 1} if result.state == "not shown" else {}
    return Found({**result.counts, **unshown, "histories broken": 0})


def _kinds(subject: Subject) -> list[Kind]:
    kinds: list[Kind] = [tasks, cancelled]
    if subject.address is not None:
        kinds += [processes_killed, processes] if subject.found.shared else [killed_and_followed]
    if subject.server is not None:
        kinds.append(connections_cut)
    return kinds


async def tasks(case: Case) -> None:
    """Several tasks, on two store objects if there may be two."""
    await _crowd(case, await case.stores())


async def cancelled(case: Case) -> None:
    """Several tasks, whose calls are cancelled at any instant."""
    await _crowd(case, [await case.store()], cancels=CANCELS)


async def processes(case: Case) -> None:
    """Several processes of two clients each."""
    await _processes(case, kills=[(), ()])


async def processes_killed(case: Case) -> None:
    """Several processes, two of them killed half-way."""
    await _processes(case, kills=[_soon(case.random), _soon(case.random)])


async def killed_and_followed(case: Case) -> None:
    """One process after the other, each killed half-way, where one at a time may have the store open."""
    namespace, logs = case.namespace(), list[Path]()
    while sum(len(history_of(log)) for log in logs) < OPERATIONS and len(logs) < 12:
        await _process(case, namespace, logs, _soon(case.random), count=OPERATIONS // CLIENTS // 2)
    await judge(case, await case.store(namespace), [one for log in logs for one in history_of(log)])


async def connections_cut(case: Case) -> None:
    """Several tasks through a proxy that cuts connections and loses answers, and one beside it."""
    namespace = case.namespace()
    async with behind(case) as proxy, case.closed_store_at(through(case, proxy, namespace)) as store:
        harming = asyncio.ensure_future(_harm(case, proxy))
        try:
            await _crowd(case, [store, store, await case.store(namespace)])
        finally:
            harming.cancel()
            await asyncio.wait({harming})


async def _harm(case: Case, proxy: Proxy) -> None:
    for number in range(6):
        await asyncio.sleep(0.03 + case.random.random() * 0.05)
        if number % 2:
            proxy.cut()
        else:
            proxy.lose_nth = case.random.randint(1, 5)
        case.tell(connections_cut=1)


def _soon(chance: random.Random) -> Sequence[Kill]:
    """Return a kill at one of the named points that so many commits pass, or soon, whatever it does then."""
    return (Kill(nth=chance.randint(40, 300)), Kill(after=0.2 + chance.random()))


async def _crowd(case: Case, stores: Sequence[Store], *, cancels: float = 0.0) -> None:
    crowd = [
        Client(stores[i % len(stores)], f"c{i}", KEYS, seed=f"{case.random.random()}", cancels=cancels)
        for i in range(CLIENTS)
    ]
    await asyncio.gather(*(client.run(OPERATIONS // CLIENTS) for client in crowd))
    await judge(case, stores[-1], [one for client in crowd for one in client.history])


async def _processes(case: Case, kills: Sequence[Sequence[Kill]]) -> None:
    namespace, logs = case.namespace(), list[Path]()
    store = await case.store(namespace)  # which makes what there is to be made, once
    due: list[Sequence[Kill]] = [*kills, ()]
    each = OPERATIONS // (2 * len(due))
    await asyncio.gather(*(_process(case, namespace, logs, kill, count=each) for kill in due))
    await judge(case, store, [one for log in logs for one in history_of(log)])


async def _process(
    case: Case, namespace: str, logs: list[Path], kills: Sequence[Kill], *, count: int
) -> None:
    number = len(logs)
    logs.append(case.folder / f"clients-{number}")
    arguments = {
        "address": case.address(namespace), "names": [f"p{number}a", f"p{number}b"], "keys": KEYS, "count": count,
        "seed": case.seed, "log": str(logs[-1]),
    }  # fmt: skip
    life = await case.live(clients, arguments, kills=kills)
    case.tell(processes_killed=life.ended == "killed")
    if life.ended in ("raised", "hung"):
        case.broken(f"a process of clients {life.ended}: {life.error} {life.message}")
