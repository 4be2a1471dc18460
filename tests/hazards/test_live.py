"""A bot on every backend: killed at any point, its server killed, hung or cut off, and nothing shows of it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.testing.controls import EFFECT_FIRST, NO_LOOK_UP
from holdfast.testing.crash import Kill, Story
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.trial import Ground, Place, Trial, busiest, verdict
from tests.crash.conftest import Grounds
from tests.hazards.children import trade_telling
from tests.hazards.conftest import ALL, REAL, SERVED, SHARED, backends, both, points_of, quick, trials_of
from tests.hazards.crowd import proxied, until

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
SLOWER = [Fault(on="candles", do="delay", ms=ms, times=0) for ms in (40, 160, 640, 2_560)]
"""Milliseconds a minute: the last has not ended before the last trouble, unless that is held up for 25 s."""


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


class Over(Exception):
    """A run came to its end before what was to happen to it."""


class Bot:
    """A bot that trades at a place while things happen around it."""

    def __init__(self, ground: Ground, place: Place, run: "Future[Story]") -> None:
        self.place = place
        self._ground = ground
        self._run = run

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition holds; raises Over where the run ends first."""
        until(lambda: self._run.done() or condition(), what)
        if not condition():
            raise Over

    def goes_on(self, minutes: int) -> None:
        """Return when it has asked for so many more candles, and is still trading."""
        goal = self._asked() + minutes
        self.until(lambda: self._asked() >= goal, "the market goes on")
        if self._run.done():
            raise Over

    def notices(self) -> Callable[[], None]:
        """Return what waits until it has opened its store anew since: then it has been told that it is away."""
        before = opened_anew(self.place)
        return lambda: self.until(lambda: opened_anew(self.place) > before, "the bot waits for its store")

    def _asked(self) -> int:
        return len(self._ground.exchange.requests(self.place.session, kind="candles"))


Trouble = Callable[[Bot], None]


def troubled(ground: Ground, scenario: str, store: str, troubles: Sequence[Trouble]) -> Trial:
    """Return the verdict on a run during which these troubles came one after the other, each a few minutes in.

    Where the market is over before all of them have come, they come on one that is slower.
    """
    twin = ground.twin(scenario)
    for slowness in SLOWER:
        place = ground.place(scenario, store=store, faults=[slowness])
        with ThreadPoolExecutor(1) as pool:
            arguments = {**place.arguments(scenario), "told": str(told_by(place))}
            run = pool.submit(ground.nursery.live_on, trade_telling, arguments)
            came = all_came(Bot(ground, place, run), troubles)
        trial = verdict(run.result(), twin, place.picture())
        if came or not trial.kept:
            return trial
    raise AssertionError("every market was over too soon")


def all_came(bot: Bot, troubles: Sequence[Trouble]) -> bool:
    try:
        for trouble in troubles:
            bot.goes_on(5)
            trouble(bot)
    except Over:
        return False
    return True


def opened_anew(place: Place) -> int:
    told = told_by(place)
    return len(told.read_text().splitlines()) if told.exists() else 0


def told_by(place: Place) -> Path:
    """Return the file in which a bot says that it has opened its store anew."""
    return place.folder.with_suffix(".told")


@pytest.mark.parametrize("backend", backends(*both(SERVED, REAL)))
def test_a_server_killed_under_a_bot_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, scenario = park.server(backend), "several"

    def killed(bot: Bot) -> None:
        server.kill()
        server.start()

    def away(bot: Bot) -> None:
        notices = bot.notices()
        server.kill()
        try:
            notices()
        finally:
            server.start()

    trial = troubled(grounds.one, scenario, quick(server.url), [killed, away, killed])
    assert trial.kept, trial.broken


@pytest.mark.parametrize("backend", backends(*both(SERVED, REAL)))
def test_a_server_hung_under_a_bot_shows_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, ground = park.server(backend), grounds.one

    def hung(bot: Bot) -> None:
        notices = bot.notices()
        server.pause()
        try:
            notices()
        finally:
            server.resume()

    trial = troubled(ground, "take-profit", quick(server.url), [hung] * 2)
    assert trial.kept, trial.broken
    assert trial.story.reached["live.store-reopening"] >= 2


@pytest.mark.parametrize("backend", backends("redis", "postgres", of=SERVED))
def test_answers_lost_under_a_bot_show_nowhere(grounds: Grounds, park: Park, backend: str) -> None:
    server, ground = park.server(backend), grounds.one
    with proxied(quick(server.url), server.port) as (around, harm):

        def lost(bot: Bot) -> None:
            goal = harm.lost + 1
            harm.set("lose_answers", True)
            try:
                bot.until(lambda: harm.lost >= goal, "an answer is lost")
            finally:
                harm.set("lose_answers", False)

        def cut(bot: Bot) -> None:
            harm.cut()

        trial = troubled(ground, "take-profit", around, [lost, cut, lost])
    assert trial.kept, trial.broken
    assert harm.lost >= 2
