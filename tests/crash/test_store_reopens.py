"""A flush that fails: the store is opened anew, and a kill on the way shows nowhere."""

import pytest

from holdfast.testing.crash import Kill
from tests.crash.conftest import Grounds

PATCH = "tests.crash.bots:failing_flush"


@pytest.mark.parametrize("scenario", ["take-profit", "several"])
def test_a_flush_that_fails_shows_nowhere(grounds: Grounds, scenario: str) -> None:
    trial = grounds.one.trial(scenario, patches=[PATCH])
    assert trial.story.reached["live.store-reopening"] == 1
    assert trial.kept, trial.broken


def test_a_kill_while_the_store_is_opened_anew_shows_nowhere(grounds: Grounds) -> None:
    kill = Kill(point="live.store-reopening", nth=1)
    trial = grounds.one.trial("take-profit", [kill, kill], patches=[PATCH])
    assert trial.story.died_at == ("live.store-reopening",) * trial.story.kills
    assert trial.story.kills >= 1
    assert trial.kept, trial.broken


@pytest.mark.parametrize("hours", [-30, 30])
def test_an_exchange_whose_clock_is_wrong_shows_nowhere(grounds: Grounds, hours: int) -> None:
    kills = [Kill(point="orders.sending", nth=1), Kill(point="orders.sent", nth=1)]
    trial = grounds.one.trial("take-profit", kills, wall_offset=hours * 3_600_000)
    assert trial.story.kills == 2
    assert trial.kept, trial.broken
