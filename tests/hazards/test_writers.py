"""Writers at once, and writers that are killed: nothing acknowledged is lost, nothing doubled, nothing seen torn."""

import random
import signal

import pytest

from holdfast.testing.servers.park import KINDS, Park
from holdfast.testing.verdict import Verdict
from tests.hazards.conftest import NAMES, REAL, backends, much
from tests.hazards.crowd import Bank, Crowd, send, until

SEED = 11


def processes(backend: str) -> int:
    """Return how many processes are put on a store at once."""
    return (3 if backend in REAL else 2) if KINDS[backend].shared else 1


@pytest.mark.parametrize("backend", backends("sqlite", "redis", "postgres", "mongo", of=NAMES))
def test_writers_at_once(park: Park, crowd: Crowd, backend: str) -> None:
    with Bank(crowd, park.url(backend), seed=SEED) as bank:
        for _ in range(processes(backend)):
            bank.process(writers=2 if KINDS[backend].shared else 6)
        for number in range(len(bank.logs)):
            bank.more(much(backend, 40), number=number)
        until(lambda: bank.told("refused"), "they are in each other's way")
        verdict = bank.verdict()
    assert verdict.sound, verdict.words
    assert verdict.counts["refused"] > 0  # they were in each other's way, so the expectations were needed
    assert verdict.counts.get("unknown", 0) == 0


@pytest.mark.parametrize("backend", backends("sqlite", "redis", "postgres", of=NAMES))
def test_writers_killed_at_random(park: Park, crowd: Crowd, backend: str) -> None:
    chance = random.Random(SEED)
    with Bank(crowd, park.url(backend), seed=SEED) as bank:
        alive = [bank.process() for _ in range(processes(backend))]
        kills = 0
        for _ in range(much(backend, 5)):
            victim = alive.pop(chance.randrange(len(alive)))
            bank.more(chance.randint(3, 25), number=victim)
            send(bank.pid(victim), signal.SIGKILL)
            kills += bank.lives[victim].result().ended == "killed"
            alive.append(bank.process())
        bank.more(10, number=alive[-1])
        verdict = bank.verdict()
    assert kills == much(backend, 5)
    assert verdict.sound, verdict.words


@pytest.mark.parametrize(
    ("backend", "mutant"),
    [("sqlite", "in_two"), pytest.param("redis", "check_first", marks=pytest.mark.server("redis"))],
)
def test_a_store_that_does_it_wrong_is_noticed(park: Park, crowd: Crowd, backend: str, mutant: str) -> None:
    found = list[str]()
    for _ in range(ROUNDS):
        verdict = beside_each_other(park, crowd, backend, f"tests.hazards.mutants:{mutant}")
        found = {"in_two": verdict.torn, "check_first": verdict.wrong}[mutant]
        if found:
            break
    assert found, verdict.words


ROUNDS = 20
"""At most: one is enough, unless two writers never meet in it."""


def beside_each_other(park: Park, crowd: Crowd, backend: str, patch: str) -> Verdict:
    """Return the verdict on three processes that write at once, all with one thing changed."""
    with Bank(crowd, park.url(backend), seed=SEED, patches=[patch]) as bank:
        for _ in range(3):
            bank.process()
        for number in range(3):
            bank.more(30, number=number)
        return bank.verdict()


def test_an_answer_before_the_write_is_noticed(park: Park, crowd: Crowd) -> None:
    patches = ["tests.hazards.mutants:acknowledges_first"]
    with Bank(crowd, park.url("file"), seed=SEED, patches=patches) as bank:
        victim = bank.process(writers=4)
        bank.more(30)
        send(bank.pid(victim), signal.SIGKILL)
        bank.lives[victim].result()
        verdict = bank.verdict()
    assert verdict.lost, verdict.words
