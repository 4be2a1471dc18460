"""A market that does not wait: killed at any time, each order is there once, and nothing is unwatched."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.market.invented import synthetic
from holdfast.testing.compare import Picture, doubled, lost, picture
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


def test_kills_around_an_order_on_a_running_market(tmp_path: Path, grounds: Grounds) -> None:
    """All at once, each on a market of its own: they mostly wait for it."""
    options = Options(request_expiry=0.25, pace="running", speed=3_000.0)
    points = ("orders.sending", "orders.sent", "live.committed", "orders.outcome-committed")
    with SimulatedExchangeProcess({"BTCUSDT": synthetic(3, MINUTES)}, options) as exchange:

        def killed_at(point: str) -> tuple[int, Picture]:
            url, store = exchange.reset(session=point), f"file:{tmp_path / point}"
            kills = [Kill(point=point, nth=nth, after=2.0) for nth in (1, 2, 1, 3)]
            story = grounds.one.nursery.live_on(trade, {"url": url, "store": store}, kills=kills)
            return story.kills, picture(url, store)

        with ThreadPoolExecutor(len(points)) as pool:
            ended = dict(zip(points, pool.map(killed_at, points), strict=True))
    assert [point for point, (kills, _) in ended.items() if kills < 2] == []
    for point, (_, seen) in ended.items():
        assert (doubled(seen), lost(seen), seen.halted) == ([], [], ()), point
