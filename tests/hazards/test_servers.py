"""Servers that are killed, hung or cut off under load: what they acknowledged stays, what is unknown is settled."""

import random

import pytest

from holdfast.testing.servers.park import Park
from holdfast.testing.servers.process import ServerProcess
from holdfast.testing.verdict import Verdict
from tests.hazards.conftest import REAL, SERVED, backends, both, much, quick
from tests.hazards.crowd import Bank, Crowd, Harm, proxied, until

SEED = 37


@pytest.mark.parametrize("backend", backends("redis", "postgres", of=SERVED))
def test_a_server_that_is_killed_under_load(park: Park, crowd: Crowd, backend: str) -> None:
    chance = random.Random(SEED)
    server = park.server(backend)
    with Bank(crowd, quick(park.url(backend)), seed=SEED) as bank:
        for _ in range(3):
            bank.process()
        bank.begun()
        for turn in range(much(backend, 3)):
            bank.more(chance.randint(10, 30))
            server.kill()
            if turn % 2:  # it is away until a commit has failed, not only a read
                before = bank.told("unknown", "failed")
                until(lambda: bank.told("unknown", "failed") > before, "a commit fails")  # noqa: B023
            server.start()
        bank.more(20)
        verdict = bank.verdict()
    assert verdict.sound, verdict.words
    assert verdict.counts["unknown commits"] + verdict.counts.get("failed", 0) > 0 or much(backend, 3) < 2


HANGS = 20
"""At most. In each of them some commit is likely to be under way, of which nobody can say what becomes of it."""


def hung(bank: Bank, server: ServerProcess) -> None:
    """Stop the server under load until every process has waited in vain."""
    bank.more(15)
    before = [bank.troubled(number) for number in range(3)]
    server.pause()
    try:
        for number in range(3):
            until(lambda: bank.troubled(number) > before[number], "a commit times out")  # noqa: B023
    finally:
        server.resume()


@pytest.mark.parametrize("backend", backends("redis", "postgres", of=SERVED))
def test_a_server_that_hangs_longer_than_anybody_waits(park: Park, crowd: Crowd, backend: str) -> None:
    server = park.server(backend)
    with Bank(crowd, quick(park.url(backend)), seed=SEED) as bank:
        for _ in range(3):
            bank.process()
        bank.begun()
        for turn in range(HANGS):
            if turn >= 2 and (bank.told("unknown") or backend not in REAL):
                break
            hung(bank, server)
        bank.more(20)
        until(lambda: bank.settled() or backend not in REAL, "it becomes known what became of a commit")
        verdict = bank.verdict()
    assert verdict.sound, verdict.words
    # A test server's transactions are many small steps: it is seldom the last one that goes wrong.
    assert verdict.counts["settled"] > 0 or backend not in REAL


def harmed(park: Park, crowd: Crowd, backend: str, *patches: str) -> Verdict:
    """Return the verdict on a bank whose connections were cut and whose answers were lost, under load.

    One of its processes expects nothing in any commit: it is told nothing but that it is done, or is not.
    """
    url = quick(park.url(backend))
    with (
        proxied(url, park.server(backend).port) as (around, harm),
        Bank(crowd, url, seed=SEED, patches=patches) as bank,
    ):
        bank.process(writers=1)
        noter = bank.process(writers=1, url=around, readers=0, notes=1.0)
        bank.process(url=around, readers=0)
        bank.begun()
        for _ in range(much(backend, HARMS)):
            bank.more(10)
            harm.cut()
        for _ in range(much(backend, HARMS)):
            lose_an_answer(bank, harm, noter)
        bank.more(2, number=noter)  # it knows by then what became of the last one
        return bank.verdict()


HARMS = 3


def lose_an_answer(bank: Bank, harm: Harm, noter: int) -> None:
    """Lose the answer to what a process sends next, and refuse it a second try, until it was told of that."""
    bank.more(
        2, number=noter
    )  # it is connected, and sends one commit after the other: no other answer can be lost
    before = bank.troubled(noter)
    harm.set("refuse", True)
    harm.set("lose_answers", True)
    until(lambda: bank.troubled(noter) > before, "a commit fails")
    harm.set("lose_answers", False)
    harm.set("refuse", False)


@pytest.mark.parametrize("backend", backends(*SERVED))
def test_connections_cut_and_answers_lost(park: Park, crowd: Crowd, backend: str) -> None:
    verdict = harmed(park, crowd, backend)
    assert verdict.sound, verdict.words
    # A test server's transactions are many small steps: it is seldom the last one that goes wrong.
    assert verdict.counts["settled"] >= HARMS or backend not in REAL


@pytest.mark.parametrize("backend", backends("redis", of=both(SERVED, REAL)))
def test_a_repeated_commit_under_a_fresh_id_is_noticed(park: Park, crowd: Crowd, backend: str) -> None:
    verdict = harmed(park, crowd, backend, "tests.hazards.mutants:fresh_ids")
    # One does: a commit that had timed out by itself just before was perhaps never sent.
    assert verdict.doubled, verdict.words
