"""A user's own adapter on a simulated machine: four methods over rows that are whole as soon as they are written."""

from typing import Any

import msgspec

from holdfast.errors import EntityNotFound
from holdfast.persist import PersistBase
from holdfast.persist.domains import Ctor
from holdfast.store import Durability
from holdfast.testing.simulation.process import SimulatedProcess

__all__ = ("rows_of",)


class Rows(PersistBase):
    """The rows of an entity name on the machine of a process; they survive the machine's power, too."""

    durability = Durability.POWER_LOSS

    def __init__(self, entity_name: str, base_dir: str, process: SimulatedProcess) -> None:
        super().__init__(entity_name, base_dir)
        self._process = process
        self._rows = process.machine.rows

    async def wait_for_init(self, initial: bool = False) -> None:
        """Do nothing: a table is there."""

    async def read_value(self, entity_id: str | int) -> Any:
        """Return a row; raises EntityNotFound."""
        await self._process.pass_by("read row")
        try:
            return msgspec.json.decode(self._rows[self._place(entity_id)])
        except KeyError as error:
            raise EntityNotFound(f"there is no {entity_id}") from error

    async def has_value(self, entity_id: str | int) -> bool:
        """Whether a row is there."""
        await self._process.pass_by("has row")
        return self._place(entity_id) in self._rows

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        """Write a row; where the answer is lost, it is written nevertheless."""
        process = self._process
        await process.pass_by("write row")
        self._rows[self._place(entity_id)] = msgspec.json.encode(value)
        process.world.tell(process.name, f"wrote row {self.entity_name}/{entity_id}")
        process.passing("disk")
        process.check()
        if process.machine.bad_rows:
            process.machine.bad_rows -= 1
            process.world.counts["lost answers of rows"] += 1
            raise ConnectionResetError("the connection to the rows was lost")

    def _place(self, entity_id: str | int) -> tuple[str, str]:
        return self.entity_name, str(entity_id)


def rows_of(process: SimulatedProcess) -> Ctor:
    """Return what makes the adapters of a process."""

    def rows(entity_name: str, base_dir: str) -> Rows:
        return Rows(entity_name, base_dir, process)

    rows.durability = Rows.durability  # type: ignore[attr-defined]
    return rows
