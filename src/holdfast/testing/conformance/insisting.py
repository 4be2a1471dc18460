"""Whoever commits a script in trouble: again under the same id, and opening anew; and what must be there by then."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from holdfast.errors import HoldfastError
from holdfast.store import Store
from holdfast.testing.conformance.script import Script, state_of

__all__ = ("TRIES", "Insisting", "Told", "WrongState")

TRIES: Final = 5


class WrongState(Exception):  # what a child ends with
    """What is there is not what was acknowledged."""


class Told(Struct):
    """What whoever commits was told: `acknowledged` commits are there, one more is if `maybe`."""

    acknowledged: int = 0
    maybe: bool = False
    story: list[str] = field(default_factory=list)


class Insisting:
    """Whoever commits until it is done, and knows what must be there."""

    def __init__(self, script: Script, make: Callable[[], Store], told: Told | None = None) -> None:
        self.told = told or Told()
        self._script = script
        self._make = make

    async def lived(self, until: int) -> bool:
        """Open, look, and commit until there are so many; open again where that fails; whether it was done."""
        for _ in range(TRIES):
            try:
                async with self._make() as store:
                    await self._look(store)
                    while self.told.acknowledged < until:
                        await self._commit(store)
            except HoldfastError as error:
                self._note("failed", error)
            else:
                return True
        return False

    async def _look(self, store: Store) -> None:
        state, least = await state_of(store), self.told.acknowledged
        found = self._script.found(state, least, least + self.told.maybe)
        if found is None:
            raise WrongState(self._script.fault(state, least, least + self.told.maybe))
        self.told.maybe = self.told.maybe and found == least
        self.told.acknowledged = found

    async def _commit(self, store: Store) -> None:
        """Commit, and once more where that fails."""
        changes, commit_id = self._script.commit(self.told.acknowledged)
        for left in (1, 0):
            try:
                await store.commit(changes, commit_id=commit_id)
            except HoldfastError as error:
                self._note(f"commit {self.told.acknowledged + 1}", error)
                self.told.maybe = self.told.maybe or bool(error.facts.get("unknown", False))
                if not left:
                    raise
            else:
                self.told.acknowledged += 1
                self.told.maybe = False
                return

    def _note(self, what: str, error: HoldfastError) -> None:
        unknown = " (unknown)" if error.facts.get("unknown") else ""
        self.told.story.append(f"{what}: {type(error).__name__}{unknown}: {error}"[:300])
