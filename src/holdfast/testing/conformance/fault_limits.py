"""Fault-tolerant: a process that may open no more files, or write no longer ones, which cuts writes short."""

import asyncio
import os
import resource
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from holdfast.errors import EntityNotFound
from holdfast.persist import PersistBase
from holdfast.store import Append, Names, Put, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.fault_calls import LIMIT, judged, warmed
from holdfast.testing.conformance.insisting import Insisting, Told, hasty
from holdfast.testing.conformance.records import A
from holdfast.testing.conformance.subject import named
from holdfast.testing.own_adapter import store_of

__all__ = ("limited", "reads_without_files")

MOST: Final = 16
"""Files more than a store needs to open."""

LENGTHS: Final = (1_000, 100, 6_000, 40_000, 300_000, 2_000_000)


@check(Level.FAULT_TOLERANT, promise="without a free file descriptor errors are typed, and with one it goes on",
       needs=("elsewhere",))  # fmt: skip
async def no_files_left(case: Case) -> None:
    """Allow a child no more open files, then one more, two more, …"""
    for spare in range(min(case.much(4), MOST)):
        await _limited(case, "files", spare, f"where {spare} more files may be opened")


@check(Level.FAULT_TOLERANT, promise="where writes are cut short, nothing is torn, and it goes on where they are not",
       needs=("elsewhere", "in-folder"))  # fmt: skip
async def writes_cut_short(case: Case) -> None:
    """Allow a child files of so many bytes: the write that gets there does less than it was asked, the next nothing."""
    for length in LENGTHS[: case.much(4)]:
        await _limited(case, "bytes", length, f"where no file may be longer than {length} bytes")


@check(Level.FAULT_TOLERANT, promise="what is there and cannot be read at this instant is never said to be absent",
       needs=("elsewhere",))  # fmt: skip
async def unread_not_absent(case: Case) -> None:
    """Have a child read, by the store and by an adapter's own methods, while it may open no file."""
    namespace = case.namespace()
    adapter, base_dir = case.subject.adapter, f"{case.folder}/apart"
    arguments = {"address": case.address(namespace), "adapter": adapter, "base_dir": base_dir}
    life = await case.live(reads_without_files, arguments, limit=LIMIT)
    if life.ended != "returned":
        case.broken(f"where no more files may be opened, reading {life.ended}: {life.error} {life.message}")
    if life.answer:
        case.broken(f"where no more files may be opened, {life.answer[0]}", life.answer)


async def reads_without_files(*, address: str, adapter: str, base_dir: str) -> list[str]:
    """Write, then read in every way where no file can be opened; returns what was taken for absent: a child."""
    async with store_of(hasty(address)) as store:
        await store.commit([Put(A, "there"), Append("history", "there")])
        persist = named(adapter)(A.entity_name, base_dir) if adapter else None
        if persist is not None:
            await persist.wait_for_init(True)
            await persist.write_value("x", "there")
        with _limit("files", 0):
            return await _absences(store) + (await _denials(persist) if persist is not None else [])


async def _absences(store: Store) -> list[str]:
    """Return what a store that has a record and an event says it does not have; an error is no such thing."""
    ways: dict[str, Awaitable[Any]] = {
        "get said: absent": store.fresh(A),
        "scan said: nothing": everything(store.scan(A.entity_name)),
        "read said: nothing": everything(store.read("history")),
        "names said: none": store.names(),
    }
    answers = await asyncio.gather(*ways.values(), return_exceptions=True)
    return [said for said, answer in zip(ways, answers, strict=True) if answer in ([None], [], Names((), ()))]


async def _denials(persist: PersistBase) -> list[str]:
    """Return what an adapter that has an entity says of it that denies it."""
    denied: list[str] = []
    with suppress(Exception):
        denied += [] if await persist.has_value("x") else ["has_value said: False"]
    try:
        await persist.read_value("x")
    except EntityNotFound:
        denied.append("read_value said: EntityNotFound")
    except Exception:  # noqa: S110  # any other error says that it could not be read
        pass
    return denied


async def _limited(case: Case, what: str, most: int, where: str) -> None:
    address, warm = case.address(case.namespace()), case.address(case.namespace())
    arguments = {"address": address, "warm": warm, "seed": case.seed, "what": what, "most": most}
    life = await case.live(limited, arguments, limit=LIMIT)
    case.tell(limits=1)
    await judged(case, life, address, where, excused=False)


async def limited(*, address: str, warm: str, seed: int, what: str, most: int) -> Told:
    """Commit, then try to go on and to open anew under a limit, then without it: what a child does."""
    script = await warmed(warm, seed)
    made, hurried = store_of(address), store_of(hasty(address))  # what making one reads is no part of this
    life = Insisting(script, lambda: made)
    await life.lived(1)
    for number in (2, 3):
        with _limit(what, most):
            await life.lived(number, lambda: hurried, tries=2)
    await life.lived(4)
    return life.told


@contextmanager
def _limit(what: str, most: int) -> Iterator[None]:
    kind = resource.RLIMIT_NOFILE if what == "files" else resource.RLIMIT_FSIZE
    used = len(os.listdir("/proc/self/fd")) - 1 if what == "files" else 0
    usual = resource.getrlimit(kind)
    resource.setrlimit(kind, (used + most, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, usual)
