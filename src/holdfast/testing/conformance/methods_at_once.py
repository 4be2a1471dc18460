"""Adapters of four methods used by several at once, and killed: what the store that is built on them rests on."""

import asyncio
import os
import signal
import threading
from typing import Any

from holdfast.persist import PersistBase
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.four_methods import PLACE, Told, ready
from holdfast.testing.conformance.subject import named

__all__ = ("write_on",)


@check(Level.ATOMIC, promise="a write is seen whole: never half of one and half of another, never absent in between",
       needs=("adapter",))  # fmt: skip
async def methods_whole(case: Case) -> None:
    """Two tasks overwrite one entity with long values, while others read it."""
    one, other = await ready(case), await ready(case)
    await one.write_value("x", _long(0))

    async def write(persist: Told, first: int) -> None:
        for number in range(first, case.much(30), 2):
            await persist.write_value("x", _long(number))
            await asyncio.sleep(0)

    writing = asyncio.gather(write(one, 1), write(other, 2))
    while not writing.done():
        try:
            found = await other.read_value("x")
        except Exception as error:
            await asyncio.wait({writing})
            case.broken(f"reading what is being overwritten raised {type(error).__name__}: {error}")
        if found["text"] != [found["number"]] * 500:
            case.broken("a value was read that nobody wrote")
        await asyncio.sleep(0)
    await writing


@check(Level.CONCURRENT, promise="what a write that returned has written is what every other object reads next",
       needs=("adapter",))  # fmt: skip
async def methods_seen_by_others(case: Case) -> None:
    """Two objects of one entity name: one writes, the other reads, in turns."""
    objects = [await ready(case), await ready(case)]
    await objects[0].write_value("x", 0)
    for turn in range(1, 1 + max(4, case.much(4))):
        writer, reader = objects if turn % 2 else objects[::-1]
        await reader.read_value("x")
        await writer.write_value("x", turn)
        case.same(await reader.read_value("x"), turn, "what another object reads after a write")
        case.history.clear()


@check(Level.CONCURRENT, promise="a cancelled call of a method leaves no answer for the next one, and tears nothing",
       needs=("adapter",))  # fmt: skip
async def methods_cancelled(case: Case) -> None:
    """Cancel calls at any instant, and see that the next ones are answered with what they asked for."""
    persist = await ready(case)
    for number in range(4):
        await persist.write_value(f"k{number}", number)
    for turn in range(case.much(15)):
        task = asyncio.ensure_future(persist.read_value(f"k{turn % 4}"))
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        found = [await persist.read_value(f"k{number}") for number in range(4)]
        case.same(found, [0, 1, 2, 3], "what is read after a read that was cancelled")


@check(Level.CRASH_SAFE, promise="a write that returned is there after the process was killed, and none is torn",
       needs=("adapter", "elsewhere"))  # fmt: skip
async def methods_killed(case: Case) -> None:
    """Kill whoever overwrites an entity, at random, and read it."""
    place = {
        "adapter": case.subject.adapter,
        "entity_name": f"{case.folder.name}.one",
        "base_dir": f"{case.folder}/{PLACE}",
    }
    log, newest = case.folder / "log", 0
    for _ in range(max(case.much(3), 4)):
        seconds = 0.02 + case.random.random() * 0.1
        life = await case.live(write_on, {**place, "log": str(log), "begin": newest, "seconds": seconds})
        if life.ended != "killed":
            case.broken(f"whoever writes {life.ended}: {life.error} {life.message}")
        told = len(log.read_bytes()) if log.exists() else 0
        persist = await ready(case)
        found = await persist.read_value("x") if await persist.has_value("x") else _long(0)
        if found["text"] != [found["number"]] * 500 or not told <= found["number"] <= told + 1:
            case.broken(
                f"{told} writes had returned, and number {found['number']} is there, {len(found['text'])} long"
            )
        newest = found["number"]
        log.write_bytes(b"." * newest)
    case.tell(writes=newest)


async def write_on(
    *, adapter: str, entity_name: str, base_dir: str, log: str, begin: int, seconds: float
) -> None:
    """Overwrite an entity for so many seconds, say so after each time, and be killed: what a child does."""
    persist: PersistBase = named(adapter)(entity_name, base_dir)
    await persist.wait_for_init(True)
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    number = begin
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        number += 1
        await persist.write_value("x", _long(number))
        os.write(told, b".")


def _long(number: int) -> dict[str, Any]:
    return {"number": number, "text": [number] * 500}
