"""Concurrent: one order of whole commits explains whatever many clients are told at once, in tasks and processes."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.store import Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.clients import Client, clients
from holdfast.testing.conformance.judging import decided, judge
from holdfast.testing.conformance.served import behind, committed_once, through
from holdfast.testing.linear import Operation
from holdfast.testing.servers.proxy import Proxy

__all__ = ()

CANCELS: Final = 0.3


@check(Level.CONCURRENT, promise="reads and commits of one key by many tasks have one order (linearizable)")
async def linear_one_key(case: Case) -> None:
    """Several tasks on one key."""
    for _ in range(case.much(1)):
        await _tasks(case, await case.store(), keys=["k"], each=14)
    decided(case)


@check(
    Level.CONCURRENT, promise="reads and commits of several keys by many tasks have one order (linearizable)"
)
async def linear_keys(case: Case) -> None:
    """Several tasks on a few keys, their commits and reads on up to three of them; two store objects if they may."""
    for _ in range(case.much(1)):
        await _tasks(case, *await case.stores(), keys=["a", "b", "c"], each=16)
    decided(case)


@check(Level.CONCURRENT, promise="cancelling whoever waits tears nothing, and no later answer is another's")
async def linear_cancelled(case: Case) -> None:
    """Cancel calls at any instant; a cancelled commit is asked for again under its id."""
    for _ in range(case.much(1)):
        await _tasks(case, await case.store(), keys=["a", "b", "c"], each=20, cancels=CANCELS)
    decided(case)


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
    decided(case)


@check(Level.CONCURRENT, promise="a commit whose answer is lost, asked for again under its id, has happened once",
       needs=("elsewhere", "served"))  # fmt: skip
async def lost_answers(case: Case) -> None:
    """Lose each answer of a commit on its way, the first, the second, ...; then any while several clients commit."""
    namespace = case.namespace()
    async with behind(case) as proxy:
        store = case.closed_store_at(through(case, proxy, namespace))
        async with store:
            for nth in range(1, 2 + case.much(2)):
                case.history.clear()
                proxy.lose_nth = nth
                await committed_once(case, store, f"lost-{nth}")
                proxy.lose_nth = 0
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
    decided(case)


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
