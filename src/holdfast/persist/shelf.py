"""Rows at their places: what is read is known to be the right one, and what is written to carry its label."""

from typing import Any

from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.persist.rack import MISSING, Rack
from holdfast.persist.rows import OWN, Row, taken, unwrap, wrap
from holdfast.store import Key

__all__ = ("Raw", "Shelf")


class Raw(Struct, frozen=True):
    """A value that was found without a label: written by somebody else, before Holdfast came."""

    value: Any


class Shelf:
    """The rows of one namespace on a rack of adapters."""

    def __init__(self, rack: Rack, namespace: str) -> None:
        self.rack = rack
        self.namespace = namespace

    async def find(self, key: Key) -> Row | Raw | None:
        """Return the row at `key`, None where there is none; raises Corrupt, Unsupported, Unavailable."""
        document = await self.rack.read(key)
        if document is MISSING:
            return None
        document = taken(document, key)
        row = unwrap(document, key, self.namespace)
        return Raw(document) if row is None else row

    async def put(self, row: Row) -> None:
        """Write a row, wholly or not at all; raises Unavailable, where it may be written all the same."""
        await self.rack.write(row.key, wrap(row))

    async def own(self, row_id: str) -> Row | None:
        """Return one of Holdfast's own rows, None where it was never written."""
        found = await self.find(Key(OWN, row_id))
        if isinstance(found, Raw) or (found is not None and found.kind != "own"):
            key = Key(OWN, row_id)
            raise Corrupt(
                f"{key} is Holdfast's own, and is something else", key=key, reason="kind", path=None
            )
        return found

    def own_row(self, row_id: str, value: Any, *, sequence: int = 0, version: str = "") -> Row:
        """Return one of Holdfast's own rows as it is to be written."""
        return Row(
            kind="own",
            namespace=self.namespace,
            name=OWN,
            id=row_id,
            sequence=sequence,
            version=version,
            value=value,
        )
