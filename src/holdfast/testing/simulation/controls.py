"""Negative controls: designs that break a promise, each of which must be noticed within a few runs."""

from typing import Any, Final

from holdfast.runtime.live import start
from holdfast.runtime.live.ledger import Ledger
from holdfast.runtime.live.orders import Orders
from holdfast.runtime.live.reconcile import Unknowns
from holdfast.runtime.live.start import Start
from holdfast.store.backends.file.writer import Writer
from holdfast.store.lease import Lease
from holdfast.store.lineage import Lineage
from holdfast.testing.controls import effect_before_commit, without_look_up
from holdfast.testing.simulation.control import Control, kills
from holdfast.testing.simulation.controls_of_wrappers import CONTROLS_OF_WRAPPERS
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.judging import Outcome, outcome_of, twin_of
from holdfast.testing.simulation.plan import Plan, plan_of

__all__ = ("CONTROLS", "Control", "noticed")


def noticed(name: str, *, seed: int = 1, most: int = 200) -> tuple[int, Outcome] | None:
    """Return how many runs it took until a control was noticed, and that run; None where it was not in `most`."""
    control, tried = CONTROLS[name], 0
    for number in range(100 * most):
        plan = plan_of(seed, number)
        if not control.shows(plan):
            continue
        tried += 1
        if plan.transparent:
            twin_of(plan)  # of the unbroken design
        with control.applied():
            outcome = outcome_of(plan)
        if any(line.startswith(control.promise) for line in outcome.broken):
            return tried, outcome
        if tried == most:
            break
    return None


def _nothing_flushed() -> None:
    SimulatedDisk.flush = lambda self, fd: None  # type: ignore[method-assign]
    SimulatedDisk.flush_all = lambda self, path: True  # type: ignore[method-assign]


def _acknowledged_first() -> None:
    """Tell that a commit is durable before it is written."""

    def write(self: Writer, batch: Any) -> bool:
        self._tell(self._settled, batch, self._journal.segment)
        try:
            self._journal.append([pending.line for pending in batch], batch[0].commit.number)
        except Exception as error:
            self._tell(self._failed, batch, error)
            return False
        return True

    Writer._write = write  # type: ignore[method-assign]


def _never_compared() -> None:
    """Believe a store that lost what it had acknowledged: neither it nor the exchange is asked."""

    async def nothing(*_: Any) -> Unknowns:
        return Unknowns({}, [])

    setattr(start, "unknown_orders", nothing)  # noqa: B010  # it is no name of that module's own
    Lineage.check = lambda self, *_, **__: None  # type: ignore[method-assign]


def _no_fence() -> None:
    """Let a run whose seats were taken over go on as if they were its own."""
    Lease.checks = lambda self, seats: []  # type: ignore[method-assign]
    Lease.check = lambda self: None  # type: ignore[method-assign]
    Lease.lost = lambda self, error: None  # type: ignore[method-assign]

    async def sure(self: Lease, seconds: float) -> None:
        return None

    Lease.ensure = sure  # type: ignore[method-assign]


def _not_found_is_believed() -> None:
    """Send again what the exchange does not know yet, although it may still arrive."""

    async def at_once(self: Orders, intent: Any) -> None:
        return None

    Orders._outlive = at_once  # type: ignore[method-assign]


def _begins_now() -> None:
    """Begin each run at the market's present, as most bots do."""
    begun = Start._begun

    async def from_now(self: Start, seat: Any, now: int) -> Any:
        draft = await begun(self, seat, now)
        draft.run(cursor=now)
        return draft

    Start._begun = from_now  # type: ignore[method-assign]


def _power(plan: Plan) -> bool:
    return plan.stores == "file" and any(trouble.what == "power" for trouble in plan.troubles)


def _went_back(plan: Plan) -> bool:
    """Whether the store loses commits by itself, and not because a replica takes its place."""
    return plan.goes_back and not plan.moves


def _torn(plan: Plan) -> bool:
    """Whether somebody may be told of a commit while its job stands before it writes, and never writes."""
    return plan.torn and sum(trouble.what in ("kill", "power") for trouble in plan.troubles) > 2


def _rivals(plan: Plan) -> bool:
    """Whether two want the same symbols, and one may sleep for longer than its lease."""
    least = max(plan.lease, 3 * plan.expiry)
    sleeps = any(t.what in ("pause", "suspend") and t.seconds > least for t in plan.troubles)
    return sleeps and plan.stores == "shared" and plan.bots > 1 and not plan.split and not plan.goes_back


def _late_and_killed(plan: Plan) -> bool:
    """Whether an order may arrive in time although whoever sent it is dead, and lives again before that."""
    kills = {t.nth: t.seconds for t in plan.troubles if (t.what, t.point) == ("kill", "ask submit")}
    late = [t for t in plan.troubles if (t.what, t.on) == ("delay", "exchange/submit")]
    found = any(kills.get(t.nth, plan.expiry) < t.seconds < plan.expiry for t in late)
    return found and plan.dedupe == "open" and plan.bots == 1


CONTROLS: Final[dict[str, Control]] = {
    "no look-up before sending again": Control(
        ((Orders, "_find"),), without_look_up, lambda plan: kills(plan) and plan.dedupe == "open", "P1"
    ),
    "sent before its commit": Control(
        ((Orders, "__init__"), (Ledger, "commit")), effect_before_commit, lambda plan: plan.bots == 1, "P1"
    ),
    "a disk that does not flush": Control(
        ((SimulatedDisk, "flush"), (SimulatedDisk, "flush_all")), _nothing_flushed, _power, ""
    ),
    "acknowledged before it is written": Control(((Writer, "_write"),), _acknowledged_first, _torn, "P2"),
    "a store that went back is believed": Control(
        ((Lineage, "check"), (start, "unknown_orders")), _never_compared, _went_back, "P"
    ),
    "no fence on leases": Control(
        tuple((Lease, name) for name in ("checks", "check", "lost", "ensure")), _no_fence, _rivals, "P2"
    ),
    "not found is believed at once": Control(
        ((Orders, "_outlive"),), _not_found_is_believed, _late_and_killed, "P1"
    ),
    "a start at the market's present": Control(
        ((Start, "_begun"),), _begins_now, lambda plan: plan.transparent and kills(plan), "P3"
    ),
    **CONTROLS_OF_WRAPPERS,
}
"""Every control by name."""
