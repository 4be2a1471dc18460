"""A market that does not wait: killed at any time, each order is there once, and nothing is unwatched."""

import pytest

from holdfast.market.invented import synthetic
from holdfast.testing.compare import doubled, lost, picture
from holdfast.testing.crash import Kill
from holdfast.testing.demonstration import Demonstration, trade
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.process import SimulatedExchangeProcess
from tests.crash.conftest import Grounds

MINUTES = 240


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_times_on_a_running_market(tmp_path, seed: int) -> None:  # type: ignore[no-untyped-def]
    with Demonstration(synthetic(seed, MINUTES), folder=tmp_path, seed=seed) as show:
        outcome = show.running(5, speed=2_000.0)
    assert (outcome.doubled, outcome.lost) == ([], [])
    assert outcome.kills >= 2
    assert outcome.seen.orders


@pytest.mark.parametrize(
    "point", ["orders.sending", "orders.sent", "live.committed", "orders.outcome-committed"]
)
def test_kills_around_an_order_on_a_running_market(tmp_path, grounds: Grounds, point: str) -> None:  # type: ignore[no-untyped-def]
    options = Options(request_expiry=0.25, pace="running", speed=3_000.0)
    with SimulatedExchangeProcess({"BTCUSDT": synthetic(3, MINUTES)}, options) as exchange:
        url = exchange.reset(session="s")
        arguments = {"url": url, "store": f"file:{tmp_path / 'store'}"}
        kills = [Kill(point=point, nth=nth, after=2.0) for nth in (1, 2, 1, 3)]
        story = grounds.one.nursery.live_on(trade, arguments, kills=kills)
        seen = picture(url, arguments["store"])
    assert story.kills >= 2
    assert (doubled(seen), lost(seen), seen.halted) == ([], [], ())
