"""Concurrent: one order of whole commits explains whatever many clients are told at once, in tasks and processes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from holdfast.errors import Unavailable
from holdfast.store import Append, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.clients import LOG, Client, clients, unsound, wrong_in
from holdfast.testing.linear import Operation
from holdfast.testing.servers.proxy import Proxy

__all__ = ("behind", "judge", "through")

CANCELS: Final = 0.3
TRIES: Final = 100


@check(Level.CONCURRENT, promise="reads and commits of one key by many tasks have one order (linearizable)")
async def linear_one_key(case: Case) -> None:
    """Several tasks on one key."""
    for _ in range(case.much(1)):
        await _tasks(case, await case.store(), keys=["k"], each=14)


@check(
    Level.CONCURRENT, promise="reads and commits of several keys by many tasks have one order (linearizable)"
)
async def linear_keys(case: Case) -> None:
    """Several tasks on a few keys, their commits and reads on up to three of them; two store objects if they may."""
    for _ in range(case.much(1)):
        namespace = case.namespace()
        stores: list[Store] = [await case.store(namespace)]
        if case.subject.found.shared and case.subject.keeps:
            stores.append(await case.store(namespace))
        await _tasks(case, *stores, keys=["a", "b", "c"], each=16)


@check(Level.CONCURRENT, promise="cancelling whoever waits tears nothing, and no later answer is another's")
async def linear_cancelled(case: Case) -> None:
    """Cancel calls at any instant; a cancelled commit is asked for again under its id."""
    for _ in range(case.much(1)):
        await _tasks(case, await case.store(), keys=["a", "b", "c"], each=20, cancels=CANCELS)


@check(Level.CONCURRENT, promise="reads and commits of several processes have one order (linearizable)",
       needs=("elsewhere", "shared"))  # fmt: skip
async def linear_processes(case: Case) -> None:
    """Several processes, each with several clients, on a few keys."""
    for turn in range(case.much(0.5)):
        namespace = case.namespace()
        async with case.closed_store(namespace):
            pass
        address = case.address(namespace)
        lives = await asyncio.gather(*(_process(case, address, number, turn) for number in range(3)))
        history = [one for life in lives for one in life]
        await judge(case, await case.store(namespace), history)


@check(Level.CONCURRENT, promise="a commit whose answer is lost, asked for again under its id, has happened once",
       needs=("elsewhere", "served"))  # fmt: skip
async def lost_answers(case: Case) -> None:
    """Lose each answer of a commit on its way, the first, the second, ...; then any while several clients commit."""
    namespace = case.namespace()
    async with behind(case) as proxy:
        store = case.closed_store_at(through(case, proxy, namespace))
        async with store:
            for nth in range(1, 2 + case.much(2)):
                await _lose(case, proxy, store, nth)
            stores = [store, await case.store(namespace)]
            harming = asyncio.ensure_future(_harm(case, proxy))
            try:
                rounds = 0
                while not harming.done():
                    rounds += 1
                    await _tasks(
                        case, *stores, keys=[f"a{rounds}", f"b{rounds}"], each=12, prefix=f"r{rounds}"
                    )
            finally:
                harming.cancel()
                await asyncio.wait({harming})
        case.tell(answers_lost=proxy.lost)


def behind(case: Case) -> Proxy:
    """Return a proxy for the server of the subject; raises NotShown where it has none that is known."""
    if case.subject.server is None:
        raise NotShown("it has a server of its own, which the kit was given no handle on")
    return Proxy("127.0.0.1", case.subject.server.port)


def through(case: Case, proxy: Proxy, namespace: str) -> str:
    """Return the address of a namespace through a proxy."""
    assert case.subject.server is not None
    return case.address(namespace).replace(f":{case.subject.server.port}", f":{proxy.port}")


async def _lose(case: Case, proxy: Proxy, store: Store, nth: int) -> None:
    """Lose the nth answer from now on, which may be one of a commit's; ask again under its id until it is known."""
    case.history.clear()
    stream, changes = f"lost-{nth}", [Append(f"lost-{nth}", nth)]
    proxy.lose_nth = nth
    for _ in range(TRIES):
        with suppress(Unavailable):
            await store.commit(changes, commit_id=stream)
            break
        await asyncio.sleep(0.02)  # it may have to connect again first
    else:
        case.broken(f"{TRIES} times in a row a commit is unknown, though one answer was lost")
    proxy.lose_nth = 0
    case.same(
        [event.value for event in await everything(store.read(stream))], [nth], "the events of one commit"
    )


async def _harm(case: Case, proxy: Proxy) -> None:
    for _ in range(max(case.much(5), 8)):
        await asyncio.sleep(0.01 + case.random.random() * 0.03)
        proxy.lose_nth = case.random.randint(1, 5)


async def _process(case: Case, address: str, number: int, turn: int) -> list[Operation]:
    arguments = {
        "address": address, "names": [f"p{number}a", f"p{number}b"], "keys": ["a", "b", "c"], "count": 14,
        "seed": case.seed + turn,
    }  # fmt: skip
    life = await case.live(clients, arguments)
    if life.ended != "returned":
        case.broken(f"a process of clients {life.ended}: {life.error} {life.message}")
    return msgspec.convert(life.answer, list[Operation])


async def _tasks(
    case: Case, *stores: Store, keys: Sequence[str], each: int, cancels: float = 0.0, prefix: str = ""
) -> None:
    crowd = [
        Client(
            stores[i % len(stores)], f"{prefix}c{i}", keys, seed=f"{case.random.random()}", cancels=cancels
        )
        for i in range(4)
    ]
    await asyncio.gather(*(client.run(each) for client in crowd))
    await judge(case, stores[-1], [one for client in crowd for one in client.history])


async def judge(case: Case, store: Store, history: Sequence[Operation], **more: Any) -> None:
    """Fail unless one order explains a history, and the stream of all commits has each that counts once."""
    case.tell(histories=1, operations=len(history))
    wrong = wrong_in(history)
    if wrong is not None:
        case.broken(*wrong)
    if said := unsound(history, await everything(store.read(LOG))):
        case.broken(said[0], said[1:8])
