"""Negative controls of the wrappers: replication, promotion, encryption and metrics, each with one idea changed."""

from base64 import b64decode, b64encode
from typing import Any, Final

from msgspec.structs import replace

from holdfast.errors import Unavailable
from holdfast.runtime.live import start
from holdfast.runtime.live.reconcile import Unknowns
from holdfast.store.wrappers.keyring import Keyring, Sealed
from holdfast.store.wrappers.observed import Observed
from holdfast.store.wrappers.replicated import promotion
from holdfast.store.wrappers.replicated.members import Members
from holdfast.store.wrappers.replicated.standing import Standing
from holdfast.store.wrappers.replicated.store import Replicated
from holdfast.testing.simulation.control import Control, kills
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.sparing import ACCEPTED, LOST, SPARE

__all__ = ("CONTROLS_OF_WRAPPERS",)


def _begins_at_the_newest() -> None:
    """Have a follower begin at the primary's newest commit: what was missed while nobody followed is not repeated."""
    expected = Standing.expect_owed

    async def newest(self: Standing) -> None:
        await expected(self)
        length = await self.outbox.length()
        if length > self.at.number:
            await self.move(replace(self.at, number=length, last=await self.outbox.commit_at(length)))

    Standing.expect_owed = newest  # type: ignore[method-assign]


def _position_first() -> None:
    """Move a replica's position in a commit of its own, before what it counts."""

    async def repeat(self: Standing, page: Any) -> bool:
        for owed in page:
            await self.move(replace(self.at, number=owed.number, last=owed.commit_id, at=owed.at))
            await self.move(self.at, owed.changes(), commit_id=owed.commit_id)
        return True

    Standing.repeat = repeat  # type: ignore[method-assign]


def _dropped_early() -> None:
    """Drop what is owed before the replicas have it."""
    trim = Members.trim

    async def all_of_it(self: Members, *, all: bool = False) -> None:
        await trim(self, all=True)

    Members.trim = all_of_it  # type: ignore[method-assign]


def _nothing_missing() -> None:
    """Promote a replica as it is, and say that nothing is missing."""

    async def drained(*_: Any, **__: Any) -> None:
        return None

    setattr(promotion, "_drained", drained)  # noqa: B010  # mypy knows what it was


def _loss_untold() -> None:
    """Trade on what was promoted as if nothing were missing: neither its record nor the exchange is asked."""

    async def nothing(*_: Any) -> Unknowns:
        return Unknowns({}, [])

    setattr(start, "unknown_orders", nothing)  # noqa: B010  # it is no name of that module's own
    Replicated._tell_loss = lambda self, changes: None  # type: ignore[method-assign]


def _in_another_form() -> None:
    """Take what is merely encoded for encrypted."""

    def seal(self: Keyring, plain: bytes, place: bytes) -> Sealed:
        del place
        return Sealed(self.current, "", b64encode(plain).decode())

    def unseal(self: Keyring, sealed: Sealed, place: bytes) -> bytes:
        del self, place
        return b64decode(sealed.data)

    Keyring.seal = seal  # type: ignore[method-assign]
    Keyring.unseal = unseal  # type: ignore[method-assign]


def _counted_and_swallowed() -> None:
    """Count a commit that failed, and go on as if it had not."""
    timed = Observed._timed

    async def swallowed(self: Observed, operation: str, work: Any) -> Any:
        try:
            return await timed(self, operation, work)
        except Unavailable:
            if operation != "commit":
                raise
            return "counted"

    Observed._timed = swallowed  # type: ignore[method-assign]


def _replicated_and_killed(plan: Plan) -> bool:
    return plan.replicated and kills(plan) and not plan.goes_back


def _left_behind(plan: Plan) -> bool:
    """Whether a primary is lost for good whose replica could not follow for a while."""
    lost = any(t.what == "promote" and t.on in (LOST, ACCEPTED) for t in plan.troubles)
    return lost and any(t.on.startswith(SPARE) for t in plan.troubles)


CONTROLS_OF_WRAPPERS: Final[dict[str, Control]] = {
    "what was missed is not repeated": Control(
        ((Standing, "expect_owed"),), _begins_at_the_newest, _replicated_and_killed, "P2: replica"
    ),
    "a replica's position moves first": Control(
        ((Standing, "repeat"),), _position_first, lambda plan: plan.replicated, "P2: replica"
    ),
    "dropped before replicas have it": Control(
        ((Members, "trim"),),
        _dropped_early,
        lambda plan: plan.replicated and not plan.goes_back,
        "P2: replica",
    ),
    "a promotion that misses nothing": Control(
        ((promotion, "_drained"),), _nothing_missing, _left_behind, "P2"
    ),
    "a promotion's loss is told to nobody": Control(
        ((Replicated, "_tell_loss"), (start, "unknown_orders")), _loss_untold, _left_behind, "P"
    ),
    "encoded, and not encrypted": Control(
        ((Keyring, "seal"), (Keyring, "unseal")), _in_another_form, lambda plan: plan.encrypted, "P2"
    ),
    "counted, and swallowed": Control(
        ((Observed, "_timed"),),
        _counted_and_swallowed,
        lambda plan: plan.observed and plan.stores == "shared",
        "P",
    ),
}
"""Each by name."""
