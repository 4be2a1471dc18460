"""Two bots on one state: one trades, the other is told who does."""

from concurrent.futures import ThreadPoolExecutor

from holdfast.testing.bots import trade_scenario
from holdfast.testing.compare import different, doubled, lost, picture
from holdfast.testing.crash import Kill, Nursery
from holdfast.testing.exchange.faults import Fault
from tests.crash.bots import try_scenario
from tests.crash.conftest import Grounds


def test_one_trades_and_the_other_is_told_who(grounds: Grounds) -> None:
    ground = grounds.one
    twin = ground.twin("take-profit")
    crawling = Fault(on="candles", do="delay", ms=1_000, nth=6, times=0)
    place = ground.place("take-profit", faults=[crawling])
    arguments = place.arguments("take-profit")
    with Nursery() as other, ThreadPoolExecutor(1) as pool:
        other.live("builtins:dict")  # so that it is ready
        first = pool.submit(ground.nursery.live, trade_scenario, arguments)
        while not ground.exchange.requests(place.session, kind="submit"):
            assert not first.done()
        second = other.live(try_scenario, arguments)
        assert not first.done()
        ground.exchange.harm(session=place.session)
        assert first.result().ended == "returned"
    said = second.answer
    assert said["error"] == "StoreInUse"
    assert "process" in said["message"]
    seen = picture(place.url, place.store)
    assert (doubled(seen), lost(seen), different(twin, seen)) == ([], [], [])


def test_a_bot_that_was_killed_leaves_no_lock_behind(grounds: Grounds) -> None:
    trial = grounds.one.trial("take-profit", [Kill(point="orders.sent", nth=1)] * 3)
    assert trial.kept
