"""Several symbols on a market that waits: one whose answer is lost holds up the others, and none is cut short."""

import asyncio
from typing import Any

from holdfast.errors import Unavailable
from holdfast.store.backends.memory import MemoryStore
from holdfast.testing.compare import stored
from holdfast.trading.signal import Close
from tests.runtime.world import LONG, PATIENCE, SHORT, Hook, World, desk_on, follow, once, scripted, series

SYMBOLS = ["AAA", "BBB"]


def left_by(hook: Hook) -> tuple[dict[str, list[Any]], dict[str, Any], int]:
    """Return the history and the documents that a run leaves, and how often it asked for candles."""
    world = World({symbol: series(100.0, 101.0, 102.5, 101.0) for symbol in SYMBOLS}, warmup=2)
    world.hook = hook
    store = MemoryStore()
    desk = desk_on(world, store)
    desk.add_risk("shared", max_positions=1)
    manage = {15: Close()}
    desk.strategy(
        "scripted",
        interval="1m",
        risk="shared",
        history=10,
        manage=lambda ctx: manage.get(ctx.now // 60_000 % 20),
    )(scripted({3: LONG, 12: SHORT, 19: LONG}))

    async def run() -> tuple[dict[str, list[Any]], dict[str, Any]]:
        async with store:
            await follow(desk.live.run(SYMBOLS, patience=PATIENCE, poll=0.01))
            history, documents, _ = await stored(store)
            return history, documents

    return *asyncio.run(run()), world.asked.count("candles")


def test_wherever_an_answer_is_lost_the_same_is_left() -> None:
    history, documents, asked = left_by(lambda kind, when: None)
    assert len([name for name in history if name.startswith("history.")]) == len(SYMBOLS)
    for nth in [*range(5, asked, 5), asked - 2, asked - 1, asked]:
        lost = once("candles", "after", Unavailable("the answer was lost"), nth=nth)
        assert left_by(lost)[:2] == (history, documents), f"request {nth} of {asked}"
