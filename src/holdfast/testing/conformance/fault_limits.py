"""Fault-tolerant: a process that may open no more files, or write no longer ones, which cuts writes short."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.fault_calls import LIMIT, judged, warmed
from holdfast.testing.conformance.insisting import Insisting, Told, hasty
from holdfast.testing.own_adapter import store_of

__all__ = ("limited",)

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
