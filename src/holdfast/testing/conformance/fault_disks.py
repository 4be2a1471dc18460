"""Fault-tolerant: a disk without room, or on which no file can be made. A real one, small and of its own."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.store import Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.insisting import Insisting, WrongState
from holdfast.testing.conformance.power_safe import folder_address
from holdfast.testing.conformance.script import Script
from holdfast.testing.powercut import LoopDisk, NoDisk
from holdfast.testing.powercut.room import MemoryDisk, fill, small_disk, use_up_files

__all__ = ()

BIG: Final = (40_000, 90_000)
MOST: Final = 600
"""Commits until one is refused: more than a small disk can hold."""


@check(Level.FAULT_TOLERANT, promise="on a full disk commits are refused, reading goes on, and with room all does",
       needs=("in-folder",))  # fmt: skip
async def disk_full(case: Case) -> None:
    """Take all the room of a small disk under an open store, commit until it is refused, and give room again.

    First all of it, then all but a little, so that it runs out within a commit.
    """
    await _filled(case, small_disk, fill, BIG, MOST, most_left=400_000)
    if not case.counts.get("refused"):
        raise NotShown("no commit was refused: what it stores takes no room on a full disk")


@check(Level.FAULT_TOLERANT, promise="where no more files can be made, nothing is lost, and with some it goes on",
       needs=("in-folder",))  # fmt: skip
async def no_more_files(case: Case) -> None:
    """Use up all inodes of a small disk under an open store, or all but a few; commit, and give some again."""
    await _filled(case, MemoryDisk, use_up_files, (300,), 30, most_left=12)


Take = Callable[[Path, int], Path]


async def _filled(
    case: Case, make: Callable[[], LoopDisk | MemoryDisk], take: Take, sizes: Sequence[int], most: int, *,
    most_left: int,
) -> None:  # fmt: skip
    template = await asyncio.to_thread(folder_address, case)
    try:
        with make() as disk:
            for turn in range(case.much(2)):
                left = case.random.randrange(most_left) if turn else 0
                place = disk.mount / f"store-{turn}"
                await asyncio.to_thread(place.mkdir)
                life = _life(case, template.replace("{folder}", str(place)), sizes)
                await _full(case, life, lambda leave=left: take(disk.mount, leave), most)  # type: ignore[misc]
                await asyncio.to_thread(shutil.rmtree, place)
    except NoDisk as error:
        raise NotShown(str(error)) from error


def _life(case: Case, address: str, sizes: Sequence[int]) -> Insisting:
    return Insisting(Script(case.seed, sizes=sizes), lambda: case.closed_store_at(address))


async def _full(case: Case, life: Insisting, take: Callable[[], Path], most: int) -> None:
    """Fill the disk under an open store, and look at it: open, opened anew, with room again, and opened once more."""
    try:
        await life.lived(2)
        async with life.make() as store:
            filler = take()
            await _commits(case, life, store, most)
            await _reads(case, life, store)
        await life.lived(0)  # which may be refused, but finds nothing else than what must be there
        await asyncio.to_thread(_given, filler)
        if not await life.lived(life.told.acknowledged + 2):
            case.broken("with room again it does not go on", life.told.story[-8:])
    except WrongState as error:
        case.broken(str(error), life.told.story[-8:])


async def _commits(case: Case, life: Insisting, store: Store, most: int) -> None:
    refused = 0
    for _ in range(most):
        try:
            await life.commit(store)
        except HoldfastError:
            refused += 1
            if refused == 2:
                break
    case.tell(disks=1, commits=life.told.acknowledged, refused=refused)


async def _reads(case: Case, life: Insisting, store: Store) -> None:
    """Fail where nothing can be read; a store that does not know what became of a commit may say so instead."""
    try:
        await life.look(store)
    except HoldfastError as error:
        if not life.told.maybe:
            case.broken(f"full, it cannot be read: {type(error).__name__}: {error}", life.told.story[-8:])


def _given(filler: Path) -> None:
    if filler.is_dir():
        shutil.rmtree(filler)
    else:
        filler.unlink()
