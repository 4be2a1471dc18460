"""A commit of several rows on adapters that can only write one: first all of it in one row, then the rows.

Once the redo row is written the commit is decided. Whatever is missing then is written again: by the next
thing that is done here, or by the next start. The redo row is not cleared, but overwritten by the next commit.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast import points
from holdfast.errors import Corrupt, InvalidKey, InvalidValue, StoreError, StoreFull, Unavailable
from holdfast.persist.recent import Tail
from holdfast.persist.rows import OWN, Row
from holdfast.persist.shelf import Raw, Shelf
from holdfast.store import Key

__all__ = ("REDO", "REFUSALS", "Plan", "Redo", "Redoer")

REDO: Final = "redo"
REFUSALS: Final = (InvalidKey, InvalidValue, StoreFull)
"""What an adapter says to a write that it has not done, and will not do."""


class Redo(Struct, frozen=True, kw_only=True):
    """Everything that a commit changes, and the commit ids to remember with it."""

    sequence: int
    commit_id: str
    rows: tuple[Row, ...]
    tail: Tail


class Plan(Struct, kw_only=True):
    """A commit on its way: how much of it is written, and what it makes of the lists (`own`) and the heads."""

    redo: Redo
    own: dict[str, Any]
    numbers: dict[str, int]
    decided: bool = False
    tried: bool = False
    done: int = 0


class Redoer:
    """Carries commits out, one after the other, and each of them to its end."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def load(self) -> Redo | None:
        """Return the last commit, None where there was none yet; raises Corrupt where it cannot be read."""
        row = await self._shelf.own(REDO)
        if row is None:
            return None
        try:
            return msgspec.convert(row.value, Redo)
        except msgspec.ValidationError as error:
            key = Key(OWN, REDO)
            raise Corrupt(
                f"the redo row is damaged: {error}", key=key, reason=str(error), path=None
            ) from error

    async def carry_out(self, plan: Plan) -> None:
        """Write what is still to be written of a commit, beginning with what may not have been written.

        Raises Unavailable (`unknown=True`) where it has to be done again, and what an adapter refuses at once.
        """
        try:
            await self._decide(plan)
            while plan.done < len(plan.redo.rows):
                await self._shelf.put(plan.redo.rows[plan.done])
                plan.done += 1
                points.reached("adapter.entity-written")
        except StoreError as error:
            if not plan.tried and isinstance(error, REFUSALS):
                raise
            plan.tried = True
            message = f"commit {plan.redo.commit_id} may have happened: {error}. Repeat it with its id"
            raise Unavailable(message, unknown=True, commit_id=plan.redo.commit_id) from error

    async def repeat(self, redo: Redo) -> None:
        """Write everything of the last commit once more, as a start must: what is read need not be durable.

        Raises Corrupt where a row is newer than the redo row: an older one was put back in its place.
        """
        await self._write(redo)
        points.reached("adapter.redo-repeated")
        for row in redo.rows:
            await self._refuse_newer(row, redo)
            await self._shelf.put(row)
            points.reached("adapter.entity-repeated")

    async def _decide(self, plan: Plan) -> None:
        if plan.decided:
            return
        points.reached("adapter.commit-planned")
        await self._write(plan.redo)
        plan.decided = plan.tried = True
        points.reached("adapter.redo-written")

    async def _write(self, redo: Redo) -> None:
        value = msgspec.to_builtins(redo)
        await self._shelf.put(
            self._shelf.own_row(REDO, value, sequence=redo.sequence, version=redo.commit_id)
        )

    async def _refuse_newer(self, row: Row, redo: Redo) -> None:
        try:
            found = await self._shelf.find(row.key)
        except Corrupt:
            return  # it is about to be replaced as a whole, by what was decided to be there
        if found is None or isinstance(found, Raw) or found.sequence <= redo.sequence:
            return
        message = (
            f"{row.key} was written by commit {found.sequence}, but the last one known is {redo.sequence}: "
            "an old redo row came back (a restored backup, an adapter that forgets)"
        )
        raise Corrupt(message, key=row.key, reason="newer than the redo row", path=None)
