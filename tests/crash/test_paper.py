"""A replayed market and orders on paper: both are made anew by each process, and nothing shows of a kill."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from holdfast.store import open_store
from holdfast.testing.crash import Kill, Nursery
from holdfast.testing.trial import Ground, busiest
from tests.crash.bots import trade_on_paper
from tests.crash.conftest import Grounds

NUMBERS = itertools.count()


async def stored(url: str) -> dict[str, Any]:
    """Return all that is stored but for what counts restarts: history, documents, and the paper account."""
    found: dict[str, Any] = {}
    async with open_store(url) as store:
        names = await store.names()
        for stream in names.streams:
            if stream.startswith("history."):
                found[stream] = [event.value async for event in store.read(stream)]
        for name in names.entities:
            if name.startswith(("paper.", "signal.", "schedule.", "state.", "risk.")):
                found[name] = {r.key.entity_id: r.value async for r in store.scan(name)}
    return found


def traded(nursery: Nursery, folder: str, scenario: str, *kills: Kill) -> tuple[dict[str, Any], Any]:
    url = f"file:{Path(folder, f'paper-{next(NUMBERS)}')}"
    story = nursery.live_on(trade_on_paper, {"scenario": scenario, "store": url}, kills=kills)
    return asyncio.run(stored(url)), story


@pytest.mark.parametrize("scenario", ["take-profit", "scheduled", "several"])
def test_kills_around_orders_on_paper_show_nowhere(
    grounds: Grounds, trials_folder: str, scenario: str
) -> None:
    expected, story = traded(grounds.one.nursery, trials_folder, scenario)
    trace = story.last.reached
    assert any(name.startswith("paper.") for name in expected)

    def judgement(ground: Ground, point: str) -> str:
        kill = Kill(point=point, nth=busiest(trace, point))
        seen, story = traded(
            ground.nursery, trials_folder, scenario, kill, Kill(point="start.settled", nth=1)
        )
        if story.kills != 2:
            return f"was killed {story.kills} times"
        return "" if seen == expected else f"{expected} became {seen}"

    points = ("orders.sending", "orders.sent", "orders.outcome-committed", "live.committed", "live.decided")
    grounds.judge([*points, "journal.frame-written", "journal.acknowledged"], judgement)
