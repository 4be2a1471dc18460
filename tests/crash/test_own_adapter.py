"""All state in a user's own adapter of four methods: the same kills, and the same nothing that shows."""

import pytest

from holdfast.persist import POINTS as ADAPTER_POINTS
from holdfast.testing.crash import Kill
from holdfast.testing.own_adapter import ADAPTER
from holdfast.testing.trial import Ground, busiest
from tests.crash.conftest import Grounds

IN_RECOVERY = {"adapter.redo-repeated", "adapter.entity-repeated"}

ONCE = {"adapter.host-noted"}
"""Points of a first start only."""


@pytest.mark.parametrize("scenario", ["take-profit", "several"])
def test_a_kill_at_any_point_shows_nowhere(grounds: Grounds, scenario: str) -> None:
    trace = grounds.one.trial(scenario, store=ADAPTER).story.last.reached
    assert set(ADAPTER_POINTS) - IN_RECOVERY <= set(trace)

    def judgement(ground: Ground, point: str) -> str:
        trial = ground.trial(scenario, [Kill(point=point, nth=busiest(trace, point))], store=ADAPTER)
        if trial.story.kills != 1:
            return "was not killed"
        return "" if trial.kept else trial.broken

    grounds.judge(sorted(set(trace)), judgement)


def test_a_second_kill_in_the_recovery_shows_nowhere(grounds: Grounds) -> None:
    first = Kill(point="adapter.entity-written", nth=40)
    recovery = grounds.one.trial("take-profit", [first], store=ADAPTER).story.last.reached
    assert set(ADAPTER_POINTS) - set(recovery) == ONCE

    def judgement(ground: Ground, point: str) -> str:
        trial = ground.trial("take-profit", [first, Kill(point=point, nth=1)], store=ADAPTER)
        if trial.story.kills != 2:
            return f"was killed {trial.story.kills} times"
        return "" if trial.kept else trial.broken

    grounds.judge(sorted({*ADAPTER_POINTS} - ONCE), judgement)
