"""Processes that are stopped at the worst moment and go on later: what has changed meanwhile is noticed."""

import signal

import pytest

from holdfast.testing.crash import Kill
from holdfast.testing.servers.park import KINDS, Park
from tests.hazards.children import stopping_bank
from tests.hazards.conftest import NAMES, REAL, SHARED, backends, both, points_of, quick
from tests.hazards.crowd import LIMIT, Bank, Crowd, is_stopped, send, until

SEED = 23


def stopped(bank: Bank, number: int) -> bool:
    """Return whether a process has come to its stop."""
    until(lambda: bank.lives[number].done() or is_stopped(bank.pid(number)), "it stops")
    return not bank.lives[number].done()


@pytest.mark.parametrize("backend", backends("sqlite", "redis", "postgres", of=SHARED))
def test_a_pause_between_reading_and_committing(park: Park, crowd: Crowd, backend: str) -> None:
    with Bank(crowd, park.url(backend), seed=SEED) as bank:
        bank.process(writers=1)
        sleeper = bank.process(writers=1, readers=0, function=stopping_bank, stop_at="", nth=2)
        assert stopped(bank, sleeper)
        waiting = bank.lines(sleeper)[-1]
        bank.more(40, number=0)  # every account has been changed by then
        send(bank.pid(sleeper), signal.SIGCONT)
        bank.more(5, number=sleeper)
        verdict = bank.verdict()
        fate = [line.what for line in bank.lines(sleeper) if line.commit_id == waiting.commit_id]
    assert fate == ["asked", "refused"]
    assert verdict.sound, verdict.words


@pytest.mark.parametrize("backend", backends("redis", of=SHARED))
def test_a_pause_between_check_and_write_is_noticed(park: Park, crowd: Crowd, backend: str) -> None:
    """The control: a store that checks first and writes what it is told has lost what came between."""
    with Bank(crowd, park.url(backend), seed=SEED) as bank:
        bank.process(writers=1)
        patches = ["tests.hazards.children:check_first_then_stop"]
        sleeper = bank.process(writers=1, readers=0, patches=patches)
        assert stopped(bank, sleeper)
        bank.more(40, number=0)
        send(bank.pid(sleeper), signal.SIGCONT)
        bank.more(1, number=sleeper)
        verdict = bank.verdict()
    assert verdict.wrong, verdict.words


@pytest.mark.parametrize("backend", backends(*both(SHARED, REAL)))
def test_a_pause_at_any_point_of_a_commit(park: Park, crowd: Crowd, backend: str) -> None:
    """Whatever lock the sleeper holds: others go on, or are told that they cannot, and later all of them do."""
    points = points_of(KINDS[backend])
    assert points
    with Bank(crowd, quick(park.url(backend)), seed=SEED) as bank:
        bank.process(writers=2)
        bank.more(5)
        stops = []
        for point in points:
            sleeper = bank.process(writers=1, readers=0, function=stopping_bank, stop_at=point, limit=0.4)
            if not stopped(bank, sleeper):
                continue
            stops.append(point)
            bank.tried(3, number=0)
            send(bank.pid(sleeper), signal.SIGCONT)
            bank.more(3, number=0)
            assert bank.lives[sleeper].result(timeout=LIMIT).ended == "returned"
        verdict = bank.verdict()
    print(f"stopped at {stops}")
    assert len(stops) >= 2
    assert verdict.sound, verdict.words


@pytest.mark.parametrize("backend", backends("sqlite", "redis", "postgres", of=NAMES))
def test_a_kill_at_any_point(park: Park, crowd: Crowd, backend: str) -> None:
    all_points = points_of(KINDS[backend])
    assert all_points
    with Bank(crowd, park.url(backend), seed=SEED) as bank:
        if KINDS[backend].shared:
            bank.process()
        reached = list[str]()
        for nth, points in ((1, all_points), (5, reached))[: 2 if backend in REAL else 1]:
            for point in tuple(points):
                victim = bank.process(readers=0, kill=Kill(point=point, nth=nth), limit=0.2)
                if bank.lives[victim].result(timeout=LIMIT).ended == "killed" and nth == 1:
                    reached.append(point)
        verdict = bank.verdict()
    assert verdict.sound, verdict.words
    print(f"killed at {len(reached)} points, never at {sorted(set(all_points) - set(reached))}")
    assert reached
