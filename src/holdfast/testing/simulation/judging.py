"""The verdict on a run: the three promises, checked on what it has left, and on what was noted while it went on.

Of a replicated store they are asked of the primary, also of one that was promoted; `mirroring` judges the replicas.
"""

import gc
from collections import Counter
from typing import Any, Final

from msgspec import Struct

from holdfast.store import Store
from holdfast.testing.compare import Picture, different, lost, stored
from holdfast.testing.simulation.hushing import quiet
from holdfast.testing.simulation.loop import nowhere
from holdfast.testing.simulation.mirroring import Mirrored, mirrored, readable
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.running import Running

__all__ = ("Outcome", "outcome_of")

Found = tuple[Picture, Counter[tuple[str, str]]]

_TWINS: Final[dict[str, Picture]] = {}


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a run: `broken` are promises that were not kept, in words; `digest` is of all that happened."""

    digest: str
    broken: tuple[str, ...]
    halted: tuple[str, ...]
    counts: dict[str, int]
    seconds: float
    trace: tuple[str, ...] = ()


def outcome_of(plan: Plan, *, trace: bool = False) -> Outcome:
    """Run a plan, and judge what came of it."""
    with nowhere():
        outcome = _outcome_of(plan, trace=trace)
        gc.collect()  # what was left, a generator or a cycle, is unwound where nothing comes of it
        return outcome


def _outcome_of(plan: Plan, *, trace: bool) -> Outcome:
    running, broken, halted = Running(plan, trace=trace), list[str](), tuple[str, ...]()
    with quiet(running):
        try:
            running.run()
            wrapped = running.ask(mirrored(running)) if plan.replicated else Mirrored()
            seen, events = running.ask(_found(running))
            halted = seen.halted
            broken += _judged(plan, running, seen, events, wrapped)
            if plan.encrypted:
                broken += running.ask(readable(running.stores.bare(running.judge())))
        except Exception as error:  # whatever it is, it is a finding, and others are still to be tried
            broken.append(f"{type(error).__name__}: {error}")
        broken += running.wrong
        counts = _counted(running)
        running.bury()
        return Outcome(
            digest=running.world.digest, broken=tuple(broken), halted=halted, counts=counts,
            seconds=running.world.now, trace=tuple(running.world.trace or ()),
        )  # fmt: skip


async def _found(running: Running) -> Found:
    async with running.reading() as store:
        history, documents, halted = await stored(store)
        events = await _versions(store)
    refused = [
        f"{symbol}: {said}" for said in running.refused for symbol in running.plan.scenario.symbols if symbol in said
    ]  # fmt: skip
    picture = Picture(
        orders=tuple(running.exchange.engine.orders()), witness=running.exchange.witness(),
        history=history, documents=documents, halted=(*halted, *refused),
    )  # fmt: skip
    return picture, events


async def _versions(store: Store) -> Counter[tuple[str, str]]:
    names = (await store.names()).streams
    return Counter([(name, event.version) for name in names async for event in store.read(name)])


def _judged(plan: Plan, running: Running, seen: Picture, events: Any, wrapped: Mirrored) -> list[str]:
    book, servers = running.book, running.stores.servers.values()
    wrong = [f"P1: {line}" for line in book.doubled + book.unintended]
    wrong += [f"P2: {line}" for line in lost(seen)]
    wrong += [f"P2: {line}" for server in servers for line in server.trespasses]
    if not running.server.lost:
        wrong += [f"P2: {line}" for line in book.lost(events, wrapped.missing)]
    wrong += wrapped.wrong
    if plan.transparent:
        wrong += [f"P3: {line}" for line in different(twin_of(plan), seen)[:10]]
    return wrong


def twin_of(plan: Plan) -> Picture:
    """Return what the plan's scenario leaves where nothing troubles it."""
    if plan.scenario.name not in _TWINS:
        alone = Plan(seed=f"twin/{plan.scenario.name}", scenario=plan.scenario, dedupe=plan.dedupe)
        running = Running(alone)
        with quiet(running):
            running.run()
            seen, _ = running.ask(_found(running))
            running.bury()
        _TWINS[plan.scenario.name] = seen
    return _TWINS[plan.scenario.name]


def _counted(running: Running) -> dict[str, int]:
    counts = Counter(running.world.counts)
    counts["orders"] += len(running.exchange.engine.orders())
    counts["commits"] += len(running.book.acknowledged)
    counts["requests"] += running.network.requests
    views = [len(server.views) for server in running.stores.servers.values()]
    counts["replicas compared"] += running.plan.replicated
    counts["states of replicas compared"] += sum(views)
    counts["events"] += running.world.told
    return dict(counts)
