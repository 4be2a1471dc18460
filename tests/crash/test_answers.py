"""Answers that are lost, late, nonsense or refusals, also in lives that are killed: each order is there once."""

import pytest

from holdfast.testing.crash import Kill
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.trial import EXPIRY, Ground
from tests.crash.conftest import Grounds

HARMS = {
    "answer dropped": Fault(on="submit", do="drop_after"),
    "request dropped": Fault(on="submit", do="drop_before"),
    "5xx, executed": Fault(on="submit", do="error_after"),
    "5xx, not executed": Fault(on="submit", do="error_before", status=502),
    "nonsense": Fault(on="submit", do="nonsense"),
    "answer late": Fault(on="submit", do="delay_answer", ms=100),
    "request later than its expiry": Fault(on="submit", do="delay", ms=int(EXPIRY * 1000) + 100),
    "exit's answer dropped": Fault(on="submit", do="drop_after", nth=2),
    "exit's request dropped": Fault(on="submit", do="drop_before", nth=2),
    "every other look-up fails": Fault(on="lookup", do="error_before", times=3),
    "candles fail": Fault(on="candles", do="error_before", nth=5, times=3),
    "candles are nonsense": Fault(on="candles", do="nonsense", nth=5, times=2),
    "candles are cut off": Fault(on="candles", do="drop_after", nth=7, times=2),
    "cancel's answer dropped": Fault(on="cancel", do="drop_after"),
    "cancel's request dropped": Fault(on="cancel", do="drop_before"),
    "start fails": Fault(on="market", do="error_before", times=2),
    "time fails": Fault(on="time", do="error_before", times=2),
}


@pytest.mark.parametrize("scenario", ["take-profit", "managed-cancel"])
def test_a_fault_of_the_exchange_shows_nowhere(grounds: Grounds, scenario: str) -> None:
    def judgement(ground: Ground, harm: str) -> str:
        trial = ground.trial(scenario, faults=[HARMS[harm]])
        return "" if trial.kept else trial.broken

    grounds.judge(list(HARMS), judgement)


@pytest.mark.parametrize("dedupe", ["open", "always", "never"])
def test_a_lost_answer_and_a_kill_together_show_nowhere(grounds: Grounds, dedupe: str) -> None:
    def judgement(ground: Ground, cell: tuple[str, str]) -> str:
        harm, point = cell
        kill = Kill(point=point, nth=1)
        trial = ground.trial("stop-loss", [kill], faults=[HARMS[harm]], dedupe=dedupe)
        if trial.doubled:
            return trial.broken
        # Without client ids nothing that is not found may be sent again: then the symbol is halted, by name.
        halted = dedupe == "never" and any("look for it there" in text for text in trial.seen.halted)
        return "" if trial.kept or halted else trial.broken

    harms = ("answer dropped", "request dropped", "exit's answer dropped", "request later than its expiry")
    points = ("live.committed", "orders.sending", "orders.looked-up", "orders.settled", "orders.sent")
    grounds.judge([(harm, point) for harm in harms for point in points], judgement)


def test_an_exchange_that_stays_silent_halts_the_symbol_by_name(grounds: Grounds) -> None:
    silent = [Fault(on="submit", do="drop_after"), Fault(on="lookup", do="error_before", times=0)]
    trial = grounds.one.trial("take-profit", faults=silent)
    assert trial.doubled == []
    [reason] = trial.seen.halted
    assert "does not answer" in reason
