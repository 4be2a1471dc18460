"""Crash-safe: a replica is owed what was acknowledged before a crash, and gets it before whatever comes afterwards."""

import asyncio
import os
import signal
import time
from contextlib import suppress

from holdfast.errors import StoreError
from holdfast.persist import PersistBase
from holdfast.store import Append, Key, Put
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.four_methods import PLACE, ready
from holdfast.testing.conformance.subject import named
from holdfast.testing.own_adapter import store_of

__all__ = ("commit_and_die", "write_and_die")

KEY = Key("replicated", "x")
STREAM = "replicated"
COMMITS = 3


@check(Level.CRASH_SAFE, promise="a replica gets, in order, all that was acknowledged, also what it lacked at a crash",
       needs=("elsewhere", "replica"))  # fmt: skip
async def replica_catches_up(case: Case) -> None:
    """Kill who writes as soon as it is told of a commit, start again, commit once more: the replica must have all."""
    namespace = case.namespace()
    address, done = case.address(namespace), 0
    turns = case.much(2)
    for _ in range(turns):
        life = await case.live(commit_and_die, {"address": address, "begin": done, "count": COMMITS})
        if life.ended != "killed":
            case.broken(f"whoever writes {life.ended}: {life.error} {life.message}")
        done += COMMITS + 1
        async with case.closed_store_at(address) as store:
            await store.commit([Put(KEY, done), Append(STREAM, done)])
        await _followed(case, namespace, done)
    case.tell(crashes=turns)


@check(Level.CRASH_SAFE, promise="a replica gets what a write that returned has written, also before a crash",
       needs=("adapter", "elsewhere", "replica-adapter"))  # fmt: skip
async def methods_replicated(case: Case) -> None:
    """Kill who writes as soon as a write has returned, write something else, and read both at the replica."""
    name, base_dir = f"{case.folder.name}.one", f"{case.folder}/{PLACE}"
    place = {"adapter": case.subject.adapter, "entity_name": name, "base_dir": base_dir}
    life = await case.live(write_and_die, place)
    if life.ended != "killed":
        case.broken(f"whoever writes {life.ended}: {life.error} {life.message}")
    await (await ready(case)).write_value("later", 2)
    replica = await ready(case, adapter=case.subject.replica_adapter)
    deadline = time.monotonic() + case.pace.limit / 2
    while not await replica.has_value("later"):
        if time.monotonic() > deadline:
            raise NotShown(f"in {case.pace.limit / 2:g} s the replica has not got a write")
        await asyncio.sleep(0.005)
        case.history.clear()
    if not await replica.has_value("x"):
        history = ["write_value x 1 -> done", "(killed, and started again)", *case.history.lines]
        case.broken("the replica lacks what was written before a crash, and has what was after it", history)
    case.same(await replica.read_value("x"), 1, "what the replica has of a write before a crash")


async def write_and_die(*, adapter: str, entity_name: str, base_dir: str) -> None:
    """Write an entity, and be killed in the same instant in which the write returns: what a child does."""
    persist: PersistBase = named(adapter)(entity_name, base_dir)
    await persist.wait_for_init(True)
    await persist.write_value("x", 1)
    os.kill(os.getpid(), signal.SIGKILL)


async def commit_and_die(*, address: str, begin: int, count: int) -> None:
    """Commit numbers, and be killed in the same instant in which the last is acknowledged: what a child does."""
    async with store_of(address) as store:
        for number in range(begin + 1, begin + 1 + count):
            await store.commit([Put(KEY, number), Append(STREAM, number)])
        os.kill(os.getpid(), signal.SIGKILL)


async def _followed(case: Case, namespace: str, done: int) -> None:
    """Wait until the replica has the newest commit, with its primary open now and then; fail if it lacks another."""
    pause, deadline = 0.05, time.monotonic() + case.pace.limit / 2
    while (found := await _replicated(case, namespace))[-1:] != [done]:
        async with case.closed_store_at(case.address(namespace)):
            await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)
        if time.monotonic() > deadline:
            raise NotShown(
                f"in {case.pace.limit / 2:g} s the replica has not got commit {done}: it has {found}"
            )
    if found != list(range(1, done + 1)):
        lacking = sorted(set(range(1, done + 1)) - set(found))
        history = [f"commits {lacking} were acknowledged before a crash", f"commit {done} was made after it"]
        case.broken(
            f"the replica has commit {done}, and not {lacking}", [*history, f"the replica has {found}"]
        )


async def _replicated(case: Case, namespace: str) -> list[int]:
    assert case.subject.replica is not None
    found: list[int] = []
    with suppress(StoreError):  # it may not be there yet
        async with store_of(case.subject.replica(namespace)) as replica:
            [record] = await replica.get(KEY)
            found = [event.value async for event in replica.read(STREAM)]
            case.same(
                record and record.value, found[-1] if found else None, "a record and an event of one commit"
            )
    return found
