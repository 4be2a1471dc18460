"""Adapters of four methods: each method by itself, and the store that is built on them.

The checks of this module are about the methods; all others see the class as a store (`AdapterStore`).
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from holdfast.persist import AdapterStore, PersistBase
from holdfast.store import Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.subject import Subject, address_of, named
from holdfast.testing.conformance.values import GOOD

__all__ = ("adapter_store", "subject_of", "write_on")

PLACE: Final = "conform"


def adapter_store(*, adapter: str, base_dir: str, namespace: str) -> Store:
    """Return the store on an adapter class, by its name, in a folder for each namespace; not open."""
    return AdapterStore({"signal": named(adapter)}, base_dir=base_dir, namespace=namespace)


def subject_of(adapter: str, *, base_dir: str, claims: Iterable[Level] | None = None, **more: Any) -> Subject:
    """Return the subject of a class of four methods ("module:Class")."""
    arguments = {"adapter": adapter, "base_dir": base_dir}
    call = f"{__name__}:adapter_store"
    return Subject.of_call(
        call, arguments, name=adapter, claims=claims, adapter=adapter, **more,
        at_folder=lambda folder: address_of(
            call, {"adapter": adapter, "base_dir": f"{folder}/made", "namespace": "default"}
        ),
    )  # fmt: skip


def _made(case: Case, entity_name: str = "one", base_dir: str = "") -> PersistBase:
    adapter: Callable[[str, str], PersistBase] = named(case.subject.adapter)
    return adapter(entity_name, f"{base_dir or case.folder}/{PLACE}")


async def _ready(case: Case, entity_name: str = "one", base_dir: str = "") -> PersistBase:
    persist = _made(case, f"{case.folder.name}.{entity_name}", base_dir)
    await persist.wait_for_init(True)
    return persist


@check(
    Level.CORE,
    promise="what the four methods write they read; absent is absent, and None is a value",
    needs=("adapter",),
)
async def methods(case: Case) -> None:
    """Write, look, read, write again; by a second object too; ids as numbers and odd ones."""
    persist = await _ready(case)
    case.same(await persist.has_value("x"), False, "has_value of what was never written")
    with suppress(Exception):
        found = await persist.read_value("x")
        case.broken(f"read_value returned {found!r} for what was never written")
    ids: list[Any] = ["x", 7, "..", "a/b", "BTC/USDT:USDT", "é", "X", "a b"]
    for number, entity_id in enumerate(ids):
        await persist.write_value(entity_id, {"number": number})
    await persist.write_value("none", None)
    case.same(await persist.has_value("none"), True, "has_value of None")
    other = await _ready(case)
    for number, entity_id in enumerate(ids):
        case.same(await other.has_value(entity_id), True, f"has_value of {entity_id!r}")
        case.same(await other.read_value(entity_id), {"number": number}, f"read_value of {entity_id!r}")
    case.same(await other.has_value("7"), True, "has_value of '7', where 7 was written")


@check(Level.CORE, promise="the four methods give values back exactly", needs=("adapter",))
async def methods_values(case: Case) -> None:
    """Write every hard value and read it."""
    persist = await _ready(case)
    for stored in GOOD:
        await persist.write_value("x", stored)
        case.same(await persist.read_value("x"), stored, "a value that was written")
    case.tell(values=len(GOOD))


@check(Level.CORE, promise="entity names, and folders of different domains, never meet", needs=("adapter",))
async def methods_apart(case: Case) -> None:
    """Write under the same id by objects of other names, and in another folder."""
    places = [("one", ""), ("two", ""), ("One", ""), ("one", f"{case.folder}/risk")]
    made = [await _ready(case, *place) for place in places]
    for number, persist in enumerate(made):
        await persist.write_value("x", number)
    case.same([await persist.read_value("x") for persist in made], [0, 1, 2, 3], "one value for each")


@check(Level.ATOMIC, promise="a write is seen whole: never half of one and half of another, never absent in between",
       needs=("adapter",))  # fmt: skip
async def methods_whole(case: Case) -> None:
    """Two tasks overwrite one entity with long values, while others read it."""
    one, other = await _ready(case), await _ready(case)
    await one.write_value("x", _long(0))

    async def write(persist: PersistBase, first: int) -> None:
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


@check(Level.CONCURRENT, promise="a cancelled call of a method leaves no answer for the next one, and tears nothing",
       needs=("adapter",))  # fmt: skip
async def methods_cancelled(case: Case) -> None:
    """Cancel calls at any instant, and see that the next ones are answered with what they asked for."""
    persist = await _ready(case)
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
        persist = await _ready(case)
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
