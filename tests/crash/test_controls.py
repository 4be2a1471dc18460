"""The proof would notice: broken designs under the same kills double, lose or differ."""

import pytest

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
