"""An operator who promotes the replica: because the primary is lost for good, or to switch to another machine.

The operator may be killed on the way, and does it again. Then the bots start on what is the primary now.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from holdfast.errors import StoreError, Unsupported
from holdfast.store import Store
from holdfast.store.wrappers.replicated import Promotion, accept_loss, promote
from holdfast.store.wrappers.replicated.records import Replica
from holdfast.testing.simulation.chronicle import view_of
from holdfast.testing.simulation.network import Network
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.process import Machine, SimulatedProcess
from holdfast.testing.simulation.server import SERVER
from holdfast.testing.simulation.sparing import ACCEPTED, SPARE, SWITCH
from holdfast.testing.simulation.stores import Stores
from holdfast.testing.simulation.trouble import Trouble
from holdfast.testing.simulation.world import Gone, World

__all__ = ("Operator",)

AGAIN: Final = 0.5


class Bots(Protocol):
    """The bots of a run, as far as an operator has to do with them."""

    plan: Plan
    world: World
    network: Network
    stores: Stores
    machines: list[Machine]

    def stop(self) -> None:
        """End every bot; none starts again before `go_on`."""

    def go_on(self) -> None:
        """Start every bot that is not done."""

    def process(self, machine: Machine, name: str) -> SimulatedProcess:
        """Return a new process."""


class Operator:
    """Who promotes: `under_way` from when the primary is lost until the bots go on; `promotion` is what came of it."""

    def __init__(self, bots: Bots) -> None:
        self.under_way = False
        self.promotion: Promotion | None = None
        self.left: Machine | None = None
        self._accepted = False
        self._bots = bots
        self._lives = 0
        self._requests = 0

    @property
    def at(self) -> int:
        """How many of the old primary's commits the promoted one has."""
        return 0 if self.promotion is None else self.promotion.number

    @property
    def unaccepted(self) -> bool:
        """Whether something may be missing since the promotion, and nobody has accepted that yet."""
        return self.promotion is not None and self.promotion.loss is not None and not self._accepted

    def begin(self, trouble: Trouble) -> bool:
        """Begin where the replica is a whole copy, and nobody has begun before; return whether it is so."""
        bots = self._bots
        role = view_of(bots.stores.servers[SPARE].store).role
        if self._lives or self.under_way or not (isinstance(role, Replica) and role.is_whole):
            return False
        self.under_way, files = True, bots.plan.stores == "file"
        if trouble.on != SWITCH or files:  # which nobody else can open while a bot has them
            bots.stop()
        self.left = bots.machines[0] if files else None
        if trouble.on != SWITCH:
            bots.network.down[SERVER] += 1
        bots.world.after(trouble.seconds, self._starting(trouble))
        return True

    def _starting(self, trouble: Trouble) -> Callable[[], None]:
        return lambda: self._start(trouble)

    def _start(self, trouble: Trouble) -> None:
        bots, here = self._bots, trouble.on == SWITCH and self.left
        self._lives += 1
        process = bots.process(here or Machine(f"desk{self._lives}"), f"operator.{self._lives}")
        process.passing = lambda point: self._passing(process, trouble, point)
        task = process.start(self._promote(process, trouble))
        task.add_done_callback(lambda task: self._ended(process, task))

    def _passing(self, process: SimulatedProcess, trouble: Trouble, point: str) -> None:
        """Be killed at the nth request on the way, once, and do it all again."""
        self._requests += point != "disk"
        if self._requests == trouble.nth and not process.dead:
            process.kill()
            process.world.counts["kill"] += 1
            process.world.after(0.3, self._starting(trouble))
            raise Gone

    async def _promote(self, process: SimulatedProcess, trouble: Trouble) -> None:
        stores = self._bots.stores
        while self.promotion is None:
            replica, old = stores.client(process, SPARE), self._old(process, trouble)
            try:
                self.promotion = await promote(
                    replica, old=old, complete=trouble.on == SWITCH, clock=process, ids=process.ids
                )
            except Unsupported:
                raise
            except StoreError as error:
                process.world.tell(process.name, f"promotes in vain: {type(error).__name__}")
                await process.sleep(AGAIN)
        while trouble.on == ACCEPTED:
            try:
                await accept_loss(stores.client(process, SPARE), clock=process, ids=process.ids)
            except StoreError:
                await process.sleep(AGAIN)
            else:
                self._accepted = True
                return

    def _old(self, process: SimulatedProcess, trouble: Trouble) -> Store | None:
        gone = trouble.on != SWITCH and self.left is not None
        return None if gone else self._bots.stores.old(process)

    def _ended(self, process: SimulatedProcess, task: Any) -> None:
        if process.dead:
            return
        process.end()
        task.result()
        bots = self._bots
        process.world.tell(process.name, f"has promoted {self.promotion}")
        bots.stop()
        if self.left is not None:
            bots.machines[:] = [Machine(f"new{i}") for i in range(len(bots.machines))]
        bots.stores.promote()
        self.under_way = False
        bots.go_on()
