"""Every crash point in every scenario: killed there, started again, and nothing shows."""

import os

import pytest

from holdfast.runtime.live import POINTS as LIVE
from holdfast.store.backends.file import POINTS as FILE
from holdfast.testing.crash import Kill, known_points
from holdfast.testing.scenarios import SCENARIOS
from holdfast.testing.trial import Ground, busiest
from tests.crash.conftest import Grounds

ONLY_IN_RECOVERY = {"orders.looked-up", "orders.renewed", "orders.settled"}
"""Cells that a first life cannot have: nothing is looked up before something was interrupted."""

ONLY_WHERE_THE_STORE_FAILS = {"live.store-reopening"}

REACHED = sorted({*LIVE, *FILE} - ONLY_IN_RECOVERY - ONLY_WHERE_THE_STORE_FAILS)

ALL = os.environ.get("HOLDFAST_HAZARDS") == "all"

KILLED_FIRST = [
    ("take-profit", "orders.sending"),
    ("several", "orders.sent"),
    *([("take-profit", "orders.sent"), ("several", "orders.sending")] if ALL else []),
]
"""Where a life is ended, so that the next one has something to settle and can be ended in that."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_point_shows_nowhere(grounds: Grounds, scenario: str) -> None:
    def judgement(ground: Ground, point: str) -> str:
        nth = busiest(ground.trace(scenario), point)
        if not nth:
            return "is never reached"
        trial = ground.trial(scenario, [Kill(point=point, nth=nth)])
        if trial.story.kills != 1 or trial.story.lives[0].reached.count(point) != nth:
            return f"was not where it was killed, but {trial.story.died_at}"
        return "" if trial.kept else trial.broken

    grounds.judge(REACHED, judgement)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_points_that_a_scenario_cannot_reach_are_not_reached(grounds: Grounds, scenario: str) -> None:
    assert set(known_points()) - set(grounds.one.trace(scenario)) == set(known_points()) - set(REACHED)


@pytest.mark.parametrize(("scenario", "first"), KILLED_FIRST)
def test_a_second_kill_at_any_point_of_the_recovery_shows_nowhere(
    grounds: Grounds, scenario: str, first: str
) -> None:
    one = Kill(point=first, nth=1)
    recovery = grounds.one.trial(scenario, [one]).story.last.reached

    def judgement(ground: Ground, point: str) -> str:
        trial = ground.trial(scenario, [one, Kill(point=point, nth=1)])
        if trial.story.kills != 2:
            return f"was killed {trial.story.kills} times"
        return "" if trial.kept else trial.broken

    points = sorted(set(recovery))
    assert {"orders.looked-up", "orders.settled", "start.settled", "open.replayed"} <= set(points)
    assert "orders.renewed" in points or first != "orders.sending"
    grounds.judge(points, judgement)


def test_a_bot_that_is_killed_in_each_of_its_recoveries_gets_there(grounds: Grounds) -> None:
    def judgement(ground: Ground, scenario: str) -> str:
        points = (
            "orders.sending",
            "open.segment-copied",
            "orders.looked-up",
            "orders.renewed",
            "orders.sent",
        )
        trial = ground.trial(scenario, [Kill(point=point, nth=1) for point in points])
        if trial.story.kills < len(points):
            return f"was killed only at {trial.story.died_at}"
        return "" if trial.kept else trial.broken

    grounds.judge(["take-profit", "stop-loss", "scheduled", "managed-close", "several"], judgement)
