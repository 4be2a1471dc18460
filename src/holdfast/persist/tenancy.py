"""Who has a namespace on adapters: a lock here, a note of what serves what, and a heartbeat for other machines."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from holdfast import points
from holdfast.errors import InvalidOption, StoreError, StoreInUse
from holdfast.persist.host import COPY, Host, Note
from holdfast.persist.owner import Owner, Ownership
from holdfast.persist.shelf import Shelf
from holdfast.store.backends.file.disk import Disk
from holdfast.system import Clock, Ids

__all__ = ("HEARTBEAT", "Tenancy", "Turn")

MAP: Final = "map"
HEARTBEAT: Final = 5.0
"""Seconds between two beats."""


Turn = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does something between two other uses of the adapters."""


class Tenancy:
    """Keeps others out of a namespace where it can, and notices them where it cannot: `lost` is who came instead."""

    def __init__(self, host: Host, *, clock: Clock, ids: Ids, disk: Disk, heartbeat: float) -> None:
        self.lost: StoreInUse | None = None
        self._host = host
        self._clock = clock
        self._ids = ids
        self._disk = disk
        self._heartbeat = heartbeat
        self._ownership: Ownership | None = None
        self._beating: asyncio.Task[None] | None = None

    def lock(self) -> None:
        """Take the lock of this machine; raises StoreInUse."""
        self.lost = None
        self._host.acquire()

    async def take(self, shelf: Shelf, served: dict[str, str]) -> None:
        """Write who has it and what serves it; raises StoreInUse, and InvalidOption where another map served it."""
        note = await self._noted(shelf, served)
        self._ownership = self._owner(shelf, note)
        await self._ownership.take()
        points.reached("adapter.owner-written")
        await shelf.put(shelf.own_row(MAP, note.map))
        points.reached("adapter.map-written")

    def beat(self, turn: Turn) -> None:
        """Show from now on, each in a turn of its own, that this process lives."""
        self._beating = asyncio.ensure_future(self._beat_on(turn))

    async def leave(self) -> None:
        """Say that nobody has it any more.

        A courtesy: where it fails, whoever starts next on another machine watches the row for a while.
        """
        if self._ownership is not None and self.lost is None:
            with suppress(StoreError):
                await self._ownership.release()
                points.reached("adapter.released")

    def stop(self) -> None:
        """Beat no more."""
        if self._beating is not None:
            self._beating.cancel()
        self.forget()

    def forget(self) -> None:
        """Drop what belonged to an event loop that is gone."""
        self._beating = self._ownership = None

    def unlock(self) -> None:
        """Let go of the lock of this machine."""
        self._host.release()

    async def _noted(self, shelf: Shelf, served: dict[str, str]) -> Note:
        row = await shelf.own(MAP)
        note = self._host.read()
        for place, known in (
            ("what it keeps there itself", row and row.value),
            (self._host.note, note and note.map),
        ):
            if known is not None and known != served:
                raise _other_map(place, known, served)
        if note is None:
            self._host.refuse_files()
            note = Note(self._ids(), served)
            self._host.write(note)
            points.reached("adapter.host-noted")
        return note

    def _owner(self, shelf: Shelf, note: Note) -> Ownership:
        async def read(row_id: str) -> Any:
            row = await shelf.own(row_id)
            return None if row is None else row.value

        async def write(row_id: str, value: Any) -> None:
            await shelf.put(shelf.own_row(row_id, value))

        pid, host = self._disk.process()
        me = Owner(process=self._ids(), place=note.place, host=host, pid=pid, every=self._heartbeat)
        return Ownership(me, read=read, write=write, clock=self._clock)

    async def _beat_on(self, turn: Turn) -> None:
        while True:
            await self._clock.sleep(self._heartbeat)
            try:
                await turn(self._beat)
            except StoreInUse as error:
                self.lost = error
                return
            except StoreError:
                continue  # a commit will say what is wrong with the adapter; the next beat tries again

    async def _beat(self) -> None:
        if self._ownership is not None:  # else it was left while this beat waited for its turn
            await self._ownership.beat()


def _other_map(place: str, known: Any, served: dict[str, str]) -> InvalidOption:
    was = known if isinstance(known, dict) else {}
    others = [name for name in served if was.get(name) != served[name]]
    changed = "; ".join(f"{name} by {was.get(name, 'nothing')}, now by {served[name]}" for name in others[:2])
    more = f" (and {len(others) - 2} more)" if len(others) > 2 else ""
    message = (
        f"other adapters served this namespace, as {place} says: {changed or known}{more}. Register the same ones "
        f"(`adapter_name` keeps the name of a class that has moved), choose another base_dir, or {COPY}"
    )
    return InvalidOption(message, known=known, served=served)
