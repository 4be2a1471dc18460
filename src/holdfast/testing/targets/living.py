"""The lives of a store: what is traced, or cut off. Each is a process that opens, commits and ends or is killed."""

import asyncio
import itertools
import os
import random
import signal
import traceback
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from holdfast import points
from holdfast.errors import HoldfastError
from holdfast.store import Store
from holdfast.testing.explorer.marks import mark, marked
from holdfast.testing.targets.judging import settled, told
from holdfast.testing.targets.steps import changes, commit_id, contents
from holdfast.testing.targets.stores import Target, target

__all__ = ("FIRST", "Life", "Plan", "busy", "live", "plan_of", "recovery_of")

ACTIONS: Final = ("commit", "commit", "commit", "batch", "checkpoint", "reopen")
BATCH: Final = 3


class Life(Struct, frozen=True):
    """What a process does, in order; killed as it reaches a crash point (`point`, or any) for the `kill`-th time.

    `commit` makes one commit, `batch` some at once, `checkpoint` is the store's own, `reopen` closes and opens;
    `close` at the end is a goodbye, and without it the process just ends.
    """

    actions: tuple[str, ...]
    kill: int = 0
    point: str = ""


class Plan(Struct, frozen=True):
    """All lives of a run, and the seed of its commits."""

    seed: str
    lives: tuple[Life, ...]


FIRST: Final = Plan(
    "first",
    (
        Life(("commit", "commit", "commit", "batch", "checkpoint", "commit", "reopen", "commit")),
        Life(("commit", "close")),
    ),
)
"""First use, single and batched commits, a checkpoint, a close, and a process that ends without one."""


def plan_of(seed: str, number: int) -> Plan:
    """Return a campaign's plan of that number: 0 is `FIRST`, the others follow from the seed."""
    if number == 0:
        return FIRST
    chance = random.Random(f"{seed}/plan/{number}")  # noqa: S311  # repeatable on purpose
    return Plan(f"{seed}.{number}", tuple(_life(chance) for _ in range(chance.randint(1, 3))))


def recovery_of(seed: str, chance: random.Random) -> Plan:
    """Return what is run on a crash state: recovery, sometimes killed and begun again, and a commit or none."""
    last = Life(("commit", "close") if chance.random() < 0.5 else ("commit",))
    killed = Life(("commit",), kill=chance.randint(1, 12))
    return Plan(seed, (killed, last) if chance.random() < 0.4 else (last,))


def _life(chance: random.Random) -> Life:
    actions = [chance.choice(ACTIONS) for _ in range(chance.randint(2, 6))]
    kill = chance.randint(1, 60) if chance.random() < 0.5 else 0
    return Life((*actions, "close") if chance.random() < 0.5 else tuple(actions), kill)


def live(name: str, folder: str, plan: str) -> None:
    """Live all lives of a plan (as JSON) in `folder`, each in a process of its own; raises if one fails."""
    made = msgspec.json.decode(plan, type=Plan)
    for life in made.lives:
        pid = os.fork()
        if pid == 0:
            _be(target(name), folder, made.seed, life)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in ((0, -signal.SIGKILL) if life.kill else (0,)):
            raise HoldfastError(f"a life of {plan} ended with {code}")


def busy(folder: str, name: str, seed: str) -> None:
    """Open the store in `folder`, find out where it is, and commit, batch, checkpoint and reopen without end."""
    asyncio.run(_busy(target(name), folder, seed))


async def _busy(made: Target, folder: str, seed: str) -> None:
    chance = random.Random()  # noqa: S311  # the commits follow from the seed; when the power goes does not anyway
    store = made.make(folder)
    await store.open()
    number = await found(store, seed)
    while True:
        number = await act(made, store, chance.choice(ACTIONS), seed, number)


def _be(store: Target, folder: str, seed: str, life: Life) -> None:
    code = 1
    try:
        if life.kill:
            points.reached = _killer(life.point, life.kill)  # type: ignore[assignment]
        asyncio.run(_live(store, folder, seed, life.actions))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def _killer(where: str, nth: int) -> Callable[[str], None]:
    turns = itertools.count(1)

    def reached(point: str) -> None:
        if where in ("", point) and next(turns) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


async def _live(made: Target, folder: str, seed: str, actions: tuple[str, ...]) -> None:
    store = made.make(folder)
    await store.open()
    number = await found(store, seed)
    for action in actions:
        number = await act(made, store, action, seed, number)


async def found(store: Store, seed: str) -> int:
    """Return after which commit an open store is, and mark it: what was seen must stay."""
    number, wrong = settled(await contents(store), seed, told(marked()))
    if wrong:
        raise HoldfastError(f"the store was wrong before it was cut off: {wrong}")
    mark(f"found {number}")
    return number


async def act(made: Target, store: Store, action: str, seed: str, number: int) -> int:
    """Do one action of a life after `number` commits; return how many there are then."""
    if action in ("commit", "batch"):
        following = range(number + 1, number + 1 + (BATCH if action == "batch" else 1))
        await asyncio.gather(*(_commit(store, seed, each) for each in following))
        return following[-1]
    if action == "checkpoint":
        await made.checkpoint(store)
    if action in ("close", "reopen"):
        await store.close()
    if action == "reopen":
        await store.open()
    return number


async def _commit(store: Store, seed: str, number: int) -> None:
    mark(f"asked {number}")
    await store.commit(changes(seed, number), commit_id=commit_id(seed, number))
    mark(f"done {number}")
