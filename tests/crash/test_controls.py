"""The proof would notice: broken designs under the same kills double, lose or differ."""

import asyncio
import itertools
from typing import Any

import pytest

from holdfast.runtime.calls import GuardedCaller, Hung
from holdfast.testing.controls import EFFECT_FIRST, HONEST_DISK, LYING_DISK, NO_LOOK_UP
from holdfast.testing.crash import Kill
from holdfast.testing.trial import Ground
from tests.crash.conftest import Grounds

SENT = Kill(point="orders.sent", nth=1)


@pytest.mark.parametrize("patch", [NO_LOOK_UP, EFFECT_FIRST, LYING_DISK])
def test_a_broken_design_is_noticed(grounds: Grounds, patch: str) -> None:
    trial = grounds.one.trial("take-profit", [SENT], patches=[patch])
    assert trial.story.kills == 1
    assert not trial.kept


def test_without_the_look_up_orders_are_doubled(grounds: Grounds) -> None:
    trial = grounds.one.trial("take-profit", [SENT], patches=[NO_LOOK_UP])
    assert len(trial.doubled) == 1
    assert trial.lost != []
    assert trial.different != []


@pytest.mark.parametrize("patch", [NO_LOOK_UP, EFFECT_FIRST, LYING_DISK, HONEST_DISK])
def test_a_broken_design_looks_right_while_nothing_happens(grounds: Grounds, patch: str) -> None:
    assert grounds.one.trial("take-profit", patches=[patch]).kept


def test_a_disk_with_a_volatile_cache_that_is_flushed_loses_nothing(grounds: Grounds) -> None:
    def judgement(ground: Ground, nth: int) -> str:
        trial = ground.trial("stop-loss", [Kill(nth=nth)], patches=[HONEST_DISK])
        return "" if trial.kept else trial.broken

    grounds.judge(range(5, 150, 10), judgement)


def hung_once() -> None:
    """Let the second call of `manage` hang, as far as the run can see."""
    call, calls = GuardedCaller.__call__, itertools.count(1)

    async def hung(self: GuardedCaller, function: Any, argument: Any, *, limit: float) -> Any:
        if function.__name__ == "manage" and next(calls) == 2:
            raise Hung("no answer", asyncio.get_running_loop().create_future())
        return await call(self, function, argument, limit=limit)

    GuardedCaller.__call__ = hung  # type: ignore[method-assign]


def test_a_strategy_that_hung_is_seen_and_named(grounds: Grounds) -> None:
    trial = grounds.one.trial("stop-loss", patches=[f"{__name__}:hung_once"])
    assert "system.scripted.STOP-LOSS" in trial.broken
    assert "it hangs (no answer)" in trial.broken
    assert "documents.state.scripted/STOP-LOSS.managed: 4 became 1" in trial.broken
