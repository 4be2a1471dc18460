"""Two bots on one store: one trades, the other is told who does, or waits and takes over when the first is gone."""

import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.compare import Picture, doubled, lost, picture
from holdfast.testing.crash import Kill, Life, Story
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.process import SimulatedExchangeProcess
from holdfast.testing.scenarios import market_of
from holdfast.testing.servers.park import Park
from holdfast.testing.trial import EXPIRY, Ground, Place, Trial, verdict
from tests.crash.conftest import Grounds
from tests.hazards.children import CONTESTED, trade_shared, try_trading
from tests.hazards.conftest import REAL, SERVED, SHARED, backends, both, trials_of
from tests.hazards.crowd import Crowd, is_stopped, send, until

SCENARIO = "take-profit"
SLOW = Fault(on="candles", do="delay", ms=50, times=0)
LEASE = 0.8
"""Seconds: of one that will be stopped."""
SEEN = 4.0
"""Seconds: of one whose heart is to be seen beating, a quarter of that long at most, and to be lost by no means."""


def a_place(ground: Ground, park: Park, backend: str) -> Place:
    return ground.place(SCENARIO, store=trials_of(park, backend), faults=[SLOW])


def bot(
    crowd: Crowd, place: Place, *kills: Kill, patches: Sequence[str] = (), **options: Any
) -> "Future[Life]":
    return crowd.start(try_trading, {**place.arguments(SCENARIO), **options}, kills=kills, patches=patches)


def sent(ground: Ground, place: Place) -> int:
    return len(ground.exchange.requests(place.session, kind="submit"))


def trial(ground: Ground, place: Place, *lives: Life) -> Trial:
    return verdict(Story(lives=lives), ground.twin(SCENARIO), place.picture())


@pytest.mark.parametrize("backend", backends("sqlite", "postgres", of=SHARED))
def test_the_second_is_told_who_trades(grounds: Grounds, park: Park, crowd: Crowd, backend: str) -> None:
    for lease in longer(SEEN):
        if (told := both_at_once(grounds.one, park, crowd, backend, lease)) is not None:
            break
    assert told is not None, "no lease is long enough"
    assert told["error"] == "LeaseHeld"
    assert told["pid"] > 0
    assert f"process {told['pid']} on {told['host']}" in told["message"]


def longer(seconds: float) -> list[float]:
    """Return leases of which the last is not lost by a process that is held up for a minute."""
    return [seconds * 4**i for i in range(4)]


def both_at_once(
    ground: Ground, park: Park, crowd: Crowd, backend: str, lease: float
) -> dict[str, Any] | None:
    """Return what the second is told; None where the first had lost its lease, held up for so long, or had ended."""
    crawling = Fault(on="candles", do="delay", ms=1_000, nth=6, times=0)
    place = ground.place(SCENARIO, store=trials_of(park, backend), faults=[crawling])
    first = bot(crowd, place, lease=lease)
    until(lambda: first.done() or sent(ground, place), "the first trades")
    second = bot(crowd, place).result()
    early = first.done()
    ground.exchange.harm(session=place.session)
    if first.result().answer.get("error") == "LeaseLost" or early:
        return None
    assert first.result().answer["done"]["halted"] == []
    outcome = trial(ground, place, first.result())
    assert outcome.kept, outcome.broken
    told: dict[str, Any] = second.answer
    return told


@pytest.mark.parametrize("backend", backends("sqlite", "redis", of=SHARED))
def test_a_killed_one_is_replaced_at_once(grounds: Grounds, park: Park, crowd: Crowd, backend: str) -> None:
    ground = grounds.one
    place = a_place(ground, park, backend)
    first = bot(crowd, place, Kill(point="orders.sent", nth=2))
    until(lambda: first.done() or sent(ground, place), "the first trades")
    second = bot(crowd, place, wait=True)
    assert first.result().ended == "killed"
    gone = time.monotonic()
    assert second.result().answer["done"]["halted"] == []
    print(f"taken over and traded to the end within {time.monotonic() - gone:.1f} s")
    outcome = trial(ground, place, first.result(), second.result())
    assert outcome.kept, outcome.broken


STOPS = ("live.decided", "live.committed", "orders.sending", "orders.sent")


@pytest.mark.parametrize("backend", backends("postgres", of=both(SHARED, REAL)))
def test_a_stopped_one_is_replaced_and_sends_nothing_when_it_wakes(
    grounds: Grounds, park: Park, crowd: Crowd, backend: str, tmp_path: Path
) -> None:
    def judgement(ground: Ground, stop_at: str) -> str:
        nth = 5 if stop_at.startswith("live") else 1
        for lease in longer(LEASE):
            place, pid_file = a_place(ground, park, backend), tmp_path / f"{stop_at}-{lease}"
            first = bot(crowd, place, stop_at=stop_at, nth=nth, lease=lease, pid_file=str(pid_file))
            if pid := stopped(pid_file, first):
                break
        if not pid:
            return "no lease is long enough"
        second = bot(crowd, place, wait=True)
        before = sent(ground, place)
        taken = second.result()
        after = sent(ground, place)
        send(pid, signal.SIGCONT)
        woken = first.result()
        outcome = trial(ground, place, woken, taken)
        late = sent(ground, place) - after
        if late and not outcome.seen.witness.refused:
            return f"{late} requests were sent on waking, and not refused"
        if taken.answer.get("done") is None:
            return f"the second: {taken.answer}"
        if woken.answer.get("error") != "LeaseLost":
            return f"the first went on: {woken.answer}"
        print(f"{stop_at}: {before} requests, {after} by the second, {sent(ground, place)} at the end")
        return "" if outcome.kept else outcome.broken

    grounds.judge(STOPS, judgement)


def stopped(pid_file: Path, life: "Future[Life]") -> int:
    """Return the id of a bot's process once it has stopped; 0 where it was too slow for its lease to come so far."""

    def pid() -> int:
        return int(pid_file.read_text() or 0) if pid_file.exists() else 0

    until(lambda: life.done() or is_stopped(pid()), "the first stops")
    if life.done():
        assert life.result().answer.get("error") in ("LeaseLost", "Unavailable"), life.result()
        return 0
    return pid()


@pytest.mark.parametrize("backend", backends("redis", of=both(SHARED, REAL)))
def test_a_run_without_its_fence_is_noticed(
    grounds: Grounds, park: Park, crowd: Crowd, backend: str, tmp_path: Path
) -> None:
    """The control: one that never looks at its lease again does not know that it has lost it."""
    ground = grounds.one
    place = a_place(ground, park, backend)
    pid_file, patches = tmp_path / "pid", ("tests.hazards.children:unfenced",)
    first = bot(
        crowd, place, patches=patches, stop_at="live.decided", nth=5, lease=LEASE, pid_file=str(pid_file)
    )
    pid = stopped(pid_file, first)
    assert pid, "without a fence nothing is too slow"
    second = bot(crowd, place, wait=True)
    until(lambda: second.done() or sent(ground, place), "the second trades")
    send(pid, signal.SIGCONT)
    second.result()
    assert first.result().answer.get("error") != "LeaseLost"


@pytest.mark.parametrize("backend", backends("postgres", of=both(SERVED, REAL)))
def test_two_bots_share_what_a_risk_profile_allows(
    crowd: Crowd, park: Park, backend: str, grounds: Grounds, tmp_path: Path
) -> None:
    options = Options(request_expiry=EXPIRY, warmup=2)
    place = grounds.one.place(SCENARIO, store=trials_of(park, backend))
    with SimulatedExchangeProcess(market_of({"contested": CONTESTED}), options) as exchange:
        arguments = {"url": exchange.url, "store": place.store, "meeting": str(tmp_path)}
        lives = [
            crowd.start(trade_shared, {**arguments, "symbols": [symbol]}) for symbol in CONTESTED.symbols
        ]
        for life in lives:
            assert life.result().ended == "returned", life.result()
        seen = picture(exchange.url, place.store)
    entries = {symbol: most_held(seen, [symbol]) for symbol in CONTESTED.symbols}
    assert entries == dict.fromkeys(CONTESTED.symbols, 1), "both have traded"
    assert most_held(seen, CONTESTED.symbols) == 1
    assert (doubled(seen), lost(seen)) == ([], [])
    said = [event["reason"] for stream in seen.history.values() for event in stream if "reason" in event]
    assert any("max_positions is 1" in reason for reason in said), "nobody was in the other's way"


def most_held(seen: Picture, symbols: Sequence[str]) -> int:
    """Return how many positions of these symbols were held at once, at most."""
    held, most = dict.fromkeys(symbols, 0.0), 0
    for entry in seen.orders:
        if entry.order.symbol in held:
            held[entry.order.symbol] += entry.state.filled * (1 if entry.order.side == "buy" else -1)
            most = max(most, sum(abs(quantity) > 1e-9 for quantity in held.values()))
    return most
