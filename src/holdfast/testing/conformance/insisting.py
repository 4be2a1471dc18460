"""Whoever commits a script in trouble: again under the same id, and opening anew; and what must be there by then."""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct, field

from holdfast.errors import HoldfastError
from holdfast.store import Store
from holdfast.testing.conformance.script import Script, state_of
from holdfast.testing.conformance.subject import SERVED, address_of
from holdfast.testing.own_adapter import MAKE

__all__ = ("TRIES", "Insisting", "Told", "WrongState", "hasty")

TRIES: Final = 5
HASTE: Final = 0.6
"""The time-outs (s) of a store that is to give up soon."""


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
        self.make = make

    async def lived(self, until: int, make: Callable[[], Store] | None = None, tries: int = TRIES) -> bool:
        """Open, look, and commit until there are so many; open again where that fails; whether it was done."""
        for _ in range(tries):
            try:
                async with (make or self.make)() as store:
                    await self.look(store)
                    while self.told.acknowledged < until:
                        await self.commit(store)
            except HoldfastError as error:
                self._note("failed", error)
            else:
                return True
        return False

    async def look(self, store: Store) -> None:
        """See after which commit a store is; raises WrongState where it is after none that it may be after."""
        state, least = await state_of(store), self.told.acknowledged
        found = self._script.found(state, least, least + self.told.maybe)
        if found is None:
            raise WrongState(self._script.fault(state, least, least + self.told.maybe))
        self.told.maybe = self.told.maybe and found == least
        self.told.acknowledged = found

    async def commit(self, store: Store) -> None:
        """Make the next commit, and once more where that fails; raises what the second try raised."""
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


def hasty(address: str) -> str:
    """Return the address with short time-outs, where it is one of Holdfast's own URLs of servers, or is made of one."""
    if address.startswith(MAKE):
        made = msgspec.json.decode(address.removeprefix(MAKE))
        changed = {name: hasty(str(value)) for name, value in made["arguments"].items() if name == "url"}
        return address_of(made["call"], {**made["arguments"], **changed})
    if not address.startswith(SERVED):
        return address
    options = "&".join(f"{name}={HASTE}" for name in ("connect_timeout", "read_timeout", "commit_timeout"))
    return f"{address}{'&' if '?' in address else '?'}{options}"
