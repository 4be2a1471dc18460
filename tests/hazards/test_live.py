"""A bot on every backend: killed at any point, its server killed, hung or cut off, and nothing shows of it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.testing.controls import EFFECT_FIRST, NO_LOOK_UP
from holdfast.testing.crash import Kill
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.trial import Ground, Place, Trial, busiest, verdict
from tests.crash.conftest import Grounds
from tests.hazards.children import trade_telling
from tests.hazards.conftest import ALL, REAL, SERVED, SHARED, backends, both, points_of, quick, trials_of
from tests.hazards.crowd import LIMIT, proxied, until

ENGINE = (
    "live.candles-received",
    "live.decided",
    "live.committed",
    "live.carried-out",
    "orders.sending",
    "orders.sent",
    "orders.outcome-committed",
    "start.bound",
    "start.committed",
    "start.settled",
    "lease.taken",
    "lease.released",
)
ORDERS = ("live.committed", "orders.sending", "orders.sent", "orders.outcome-committed")
SENT = Kill(point="orders.sent", nth=1)
SLOW = Fault(on="candles", do="delay", ms=40, times=0)


@pytest.mark.parametrize("backend", backends(*both(SHARED, REAL)))
def test_a_kill_at_any_point_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    killed_everywhere(
        grounds, park, backend, "take-profit", ENGINE if ALL or backend == "postgres" else ORDERS
    )


@pytest.mark.parametrize("backend", backends("postgres", of=SHARED))
def test_a_kill_around_several_orders_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    killed_everywhere(grounds, park, backend, "several", ORDERS)


def killed_everywhere(
    grounds: Grounds, park: Park, backend: str, scenario: str, engine: Sequence[str]
) -> None:
    """Kill a bot at these points of the engine and at all of the backend's, each in a trial of its own."""
    store = trials_of(park, backend)
    first = grounds.one.trial(scenario, store=store)
    assert first.kept, first.broken
    trace = first.story.last.reached
    points = [point for point in (*engine, *points_of(KINDS[backend])) if point in trace]
    assert len(points) > len(engine)

    def judgement(ground: Ground, point: str) -> str:
        trial = ground.trial(scenario, [Kill(point=point, nth=busiest(trace, point))], store=store)
        if trial.story.kills != 1:
            return "was not killed"
        return "" if trial.kept else trial.broken

    grounds.judge(points, judgement)
    print(f"{len(points)} kills")


@pytest.mark.parametrize("backend", backends("postgres", of=both(SHARED, REAL)))
def test_a_kill_in_each_recovery_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    store = trials_of(park, backend)
    recovery = ("orders.looked-up", "orders.settled", "lease.taken", "start.committed")

    def judgement(ground: Ground, first: str) -> str:
        kills = [Kill(point=first, nth=1), *(Kill(point=point, nth=1) for point in recovery)]
        trial = ground.trial("take-profit", kills, store=store)
        if trial.story.kills != len(kills):
            return f"was killed only at {trial.story.died_at}"
        return "" if trial.kept else trial.broken

    grounds.judge(["orders.sending", "orders.sent"], judgement)


@pytest.mark.parametrize("patch", [NO_LOOK_UP, EFFECT_FIRST])
@pytest.mark.parametrize("backend", backends("redis", of=both(SHARED, REAL)))
def test_a_broken_design_is_noticed(grounds: Grounds, park: Park, backend: str, patch: str) -> None:
    trial = grounds.one.trial("take-profit", [SENT], store=trials_of(park, backend), patches=[patch])
    assert trial.story.kills == 1
    assert not trial.kept


def troubled(
    ground: Ground, place: Place, scenario: str, troubles: Sequence[Callable[[], None]], *patches: str
) -> Trial:
    """Return the verdict on a run during which these troubles came one after the other, each a few minutes in."""
    twin = ground.twin(scenario)
    with ThreadPoolExecutor(1) as pool:
        arguments = {**place.arguments(scenario), "told": str(told_by(place))}
        run = pool.submit(ground.nursery.live_on, trade_telling, arguments, patches=patches, limit=LIMIT)
        seen = 0
        for trouble in troubles:
            goal = seen + 5

            def far_enough(goal: int = goal) -> bool:
                return run.done() or len(ground.exchange.requests(place.session, kind="candles")) >= goal

            until(far_enough, "the market goes on")
            assert not run.done(), run.result()
            trouble()
            seen = len(ground.exchange.requests(place.session, kind="candles"))
        story = run.result()
    return verdict(story, twin, place.picture())


def has_noticed(place: Place) -> Callable[[], bool]:
    """Return what says whether the bot has opened its store anew since: then it has been told that it is away."""
    before = opened_anew(place)
    return lambda: opened_anew(place) > before


def opened_anew(place: Place) -> int:
    told = told_by(place)
    return len(told.read_text().splitlines()) if told.exists() else 0


def told_by(place: Place) -> Path:
    """Return the file in which a bot says that it has opened its store anew."""
    return place.folder.with_suffix(".told")


@pytest.mark.parametrize("backend", backends(*both(SERVED, REAL)))
def test_a_server_killed_under_a_bot_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, scenario = park.server(backend), "several"

    def killed() -> None:
        server.kill()
        server.start()

    def away() -> None:
        noticed = has_noticed(place)
        server.kill()
        until(noticed, "the bot waits for its store")
        server.start()

    place = grounds.one.place(scenario, store=quick(server.url), faults=[SLOW])
    trial = troubled(grounds.one, place, scenario, [killed, away, killed])
    assert trial.kept, trial.broken


@pytest.mark.parametrize("backend", backends(*both(SERVED, REAL)))
def test_a_server_hung_under_a_bot_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, ground = park.server(backend), grounds.one
    place = ground.place("take-profit", store=quick(server.url), faults=[SLOW])

    def hung() -> None:
        noticed = has_noticed(place)
        server.pause()
        until(noticed, "the bot waits for its store")
        server.resume()

    trial = troubled(ground, place, "take-profit", [hung] * 2)
    assert trial.kept, trial.broken
    assert trial.story.reached["live.store-reopening"] >= 2


@pytest.mark.parametrize("backend", backends("redis", "postgres", of=SERVED))
def test_answers_lost_under_a_bot_show_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, ground = park.server(backend), grounds.one
    with proxied(quick(server.url), server.port) as (around, harm):
        place = ground.place("take-profit", store=around, faults=[SLOW])

        def lost() -> None:
            goal = harm.lost + 1
            harm.set("lose_answers", True)
            until(lambda: harm.lost >= goal, "an answer is lost")
            harm.set("lose_answers", False)

        trial = troubled(ground, place, "take-profit", [lost, harm.cut, lost])
    assert trial.kept, trial.broken
    assert harm.lost >= 2
