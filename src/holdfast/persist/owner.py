"""Who uses a namespace on adapters: a row with a heartbeat, which a starter on another machine watches first.

This detects a second process, it does not fence it: an adapter of four methods cannot refuse a late write.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Corrupt, StoreInUse
from holdfast.persist.rows import OWN
from holdfast.store import Key
from holdfast.system import Clock

__all__ = ("OWNER", "Owner", "Ownership")

OWNER: Final = "owner"
MISSED: Final = 2.5


class Owner(Struct, frozen=True, kw_only=True):
    """The process that uses the namespace, the folder it runs in, and its heartbeat, one each `every` seconds."""

    process: str
    place: str
    host: str
    pid: int
    every: float
    beat: int = 0
    released: bool = False


class Ownership:
    """Takes the owner row for one process, keeps its heart beating, and notices when it is taken away."""

    def __init__(
        self,
        me: Owner,
        *,
        read: Callable[[str], Awaitable[Any]],
        write: Callable[[str, Any], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._me = me
        self._read = read
        self._write = write
        self._clock = clock

    async def take(self) -> None:
        """Become the owner; raises StoreInUse where the heart of another one beats."""
        found = await self._found()
        # The lock of this folder is held, so that a process that had it before is dead: nothing to watch.
        if found is not None and not found.released and found.place != self._me.place:
            await self._clock.sleep(found.every * MISSED)
            if await self._found() != found:
                raise self._in_use(found)
        await self._write(OWNER, msgspec.to_builtins(self._me))
        await self.check()  # of two who start at once, one is left

    async def beat(self) -> None:
        """Show that this process is alive; raises StoreInUse where another one has become the owner."""
        await self.check()
        self._me = replace(self._me, beat=self._me.beat + 1)
        await self._write(OWNER, msgspec.to_builtins(self._me))

    async def check(self) -> None:
        """Raise StoreInUse where another process has become the owner."""
        found = await self._found()
        if found is None or found.process != self._me.process:
            raise self._in_use(found)

    async def release(self) -> None:
        """Say that nobody uses the namespace any more, unless another process already does."""
        await self.check()
        await self._write(OWNER, msgspec.to_builtins(replace(self._me, released=True)))

    async def _found(self) -> Owner | None:
        value = await self._read(OWNER)
        try:
            return None if value is None else msgspec.convert(value, Owner)
        except msgspec.ValidationError as error:
            raise Corrupt("the owner's row is damaged", key=Key(OWN, OWNER), reason=str(error)) from error

    def _in_use(self, by: Owner | None) -> StoreInUse:
        if by is None:
            return StoreInUse("the owner's row is gone: somebody else writes here", pid=0, host="?", since=0)
        message = (
            f"process {by.pid} on {by.host} uses the adapters' namespace and is alive; stop it first. If it was "
            f"stopped just now, wait {by.every * MISSED:.0f} seconds"
        )
        return StoreInUse(message, pid=by.pid, host=by.host, since=0)
