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

SLOWER = (2_000.0, 500.0, 125.0)
"""Markets of 7 s, half a minute and two: one is over before two kills where this machine stands still so long."""


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_times_on_a_running_market(tmp_path, seed: int) -> None:  # type: ignore[no-untyped-def]
    for speed in SLOWER:
        folder = tmp_path / f"{speed:g}"
        folder.mkdir()
        with Demonstration(synthetic(seed, MINUTES), folder=folder, seed=seed) as show:
            outcome = show.running(5, speed=speed)
        assert (outcome.doubled, outcome.lost) == ([], [])
        if outcome.kills >= 2 and outcome.seen.orders:
            break
    assert outcome.kills >= 2
    assert outcome.seen.orders


def test_kills_around_an_order_on_a_running_market(tmp_path: Path, grounds: Grounds) -> None:
    """All at once, each on a market of its own: they mostly wait for it."""
    options = Options(request_expiry=0.25, pace="running")
    points = ("orders.sending", "orders.sent", "live.committed", "orders.outcome-committed")
    with SimulatedExchangeProcess({"BTCUSDT": synthetic(3, MINUTES)}, options) as exchange:

        def killed_on(point: str, speed: float) -> tuple[int, Picture]:
            name = f"{point}-{speed:g}"
            url, store = exchange.reset(session=name, speed=speed), f"file:{tmp_path / name}"
            kills = [Kill(point=point, nth=nth, after=2.0) for nth in (1, 2, 1, 3)]
            story = grounds.one.nursery.live_on(trade, {"url": url, "store": store}, kills=kills)
            return story.kills, picture(url, store)

        def killed_at(point: str) -> tuple[int, Picture]:
            for speed in (3_000.0, *SLOWER[1:]):
                kills, seen = killed_on(point, speed)
                if kills >= 2 or (doubled(seen), lost(seen), seen.halted) != ([], [], ()):
                    break
            return kills, seen

        with ThreadPoolExecutor(len(points)) as pool:
            ended = dict(zip(points, pool.map(killed_at, points), strict=True))
    assert [point for point, (kills, _) in ended.items() if kills < 2] == []
    for point, (_, seen) in ended.items():
        assert (doubled(seen), lost(seen), seen.halted) == ([], [], ()), point
