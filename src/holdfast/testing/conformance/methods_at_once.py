"""Adapters of four methods used by several at once: what the store that is built on them rests on."""

import asyncio
from typing import Any

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.four_methods import Told, ready

__all__ = ("long",)


@check(Level.ATOMIC, promise="a write is seen whole: never half of one and half of another, never absent in between",
       needs=("adapter",))  # fmt: skip
async def methods_whole(case: Case) -> None:
    """Two tasks overwrite one entity with long values, while others read it."""
    one, other = await ready(case), await ready(case)
    await one.write_value("x", long(0))

    async def write(persist: Told, first: int) -> None:
        for number in range(first, case.much(30), 2):
            await persist.write_value("x", long(number))
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


def long(number: int) -> dict[str, Any]:
    """Return a value that shows whether it is whole."""
    return {"number": number, "text": [number] * 500}
