"""Troubles at work: each is done to the world, a machine or a bot at its time, or when a bot gets to its point."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from holdfast.testing.simulation.files import Folder, some
from holdfast.testing.simulation.moving import Operator
from holdfast.testing.simulation.network import HARMS, Network
from holdfast.testing.simulation.plan import Plan, Trouble
from holdfast.testing.simulation.process import Machine, SimulatedProcess
from holdfast.testing.simulation.server import SERVER, StoreServer
from holdfast.testing.simulation.stores import Stores
from holdfast.testing.simulation.world import Gone, World

__all__ = ("Bots", "Troubles")


class Bots(Protocol):
    """The bots of a run, as far as somebody can do something to them."""

    plan: Plan
    stores: Stores
    operator: Operator

    def machine_of(self, bot: int) -> Machine:
        """Return where a bot runs."""

    def process_of(self, bot: int) -> SimulatedProcess | None:
        """Return a bot's process, None where it has none now."""

    def fell(self, bot: int, down: float) -> None:
        """Note that a bot's process has ended by force; it starts again in so many seconds."""


class Troubles:
    """The troubles of one run, until it is `over`. Everything that is done is counted."""

    def __init__(self, world: World, network: Network, bots: Bots, troubles: Sequence[Trouble]) -> None:
        self.over = False
        self._world = world
        self._network = network
        self._bots = bots
        self._pointed = {(t.bot, t.point, t.nth): t for t in troubles if t.point}
        self._reached: Counter[tuple[int, str]] = Counter()
        self._cuts = world.chance("cuts")
        for trouble in troubles:
            if trouble.what in HARMS:
                server, _, kind = trouble.on.partition("/")
                network.harms[server, kind, trouble.nth] = (trouble.what, trouble.seconds)
            elif trouble.what == "restore":
                world.after(trouble.at - trouble.seconds, self._saving(trouble))
            elif not trouble.point:
                world.after(trouble.at, self._doing(trouble))

    def reached(self, bot: int, process: SimulatedProcess, point: str) -> None:
        """Note that a bot got somewhere; raises Gone where this was its end."""
        process.check()
        for name in (point,) if point == "disk" else (point, "any"):
            self._reached[bot, name] += 1
            trouble = self._pointed.get((bot, name, self._reached[bot, name]))
            if trouble is not None:
                self._do(trouble)
        if process.dead:
            raise Gone

    def _doing(self, trouble: Trouble) -> Callable[[], None]:
        return lambda: self._do(trouble)

    def _saving(self, trouble: Trouble) -> Callable[[], None]:
        """Take a copy of a machine's files, to be put back at the trouble's time."""

        def save() -> None:
            copy = self._bots.machine_of(trouble.bot).root.copy({})
            self._world.after(trouble.seconds, lambda: self._restored(trouble, copy))

        return save

    def _restored(self, trouble: Trouble, copy: Folder) -> None:
        machine = self._bots.machine_of(trouble.bot)
        if self.over:
            return
        for bot in range(self._bots.plan.bots):
            self._kill(Trouble(what="kill", bot=bot, seconds=0.1))
        machine.root = copy
        self._bots.stores.servers[SERVER].lost += 1
        self._world.counts["restore"] += 1
        self._world.tell("world", f"restore {machine.name}")

    def _do(self, trouble: Trouble) -> None:
        if self.over:
            return
        done = getattr(self, f"_{trouble.what}")(trouble)
        if done is not False:
            self._world.counts[trouble.what] += 1
            self._world.tell("world", f"{trouble.what} {trouble.bot} {trouble.on} {trouble.seconds:g}")

    def _kill(self, trouble: Trouble) -> bool:
        process = self._bots.process_of(trouble.bot)
        if process is None:
            return False
        process.kill()
        self._bots.fell(trouble.bot, trouble.seconds)
        return True

    def _power(self, trouble: Trouble) -> None:
        """Cut a machine's power: all of its processes end, and what was not flushed survives in part."""
        machine = self._bots.machine_of(trouble.bot)
        for bot in range(self._bots.plan.bots):
            if self._bots.machine_of(bot) is machine:
                self._kill(Trouble(what="kill", bot=bot, seconds=trouble.seconds))
        machine.root = machine.root.after_cut(some(self._cuts.getrandbits(32)))
        machine.boots += 1
        machine.full, machine.bad_flushes = False, 0

    def _pause(self, trouble: Trouble) -> bool:
        process = self._bots.process_of(trouble.bot)
        if process is None or process.paused:
            return False
        process.pause()
        self._world.after(trouble.seconds, process.go_on)
        return True

    def _suspend(self, trouble: Trouble) -> None:
        """Suspend a machine: its processes stop, and its monotonic clock with them."""
        machine = self._bots.machine_of(trouble.bot)
        stopped = [process for process in machine.alive.values() if not process.paused]
        for process in stopped:
            process.pause()
        self._world.after(trouble.seconds, lambda: _awake(machine, stopped, trouble.seconds))

    def _clock(self, trouble: Trouble) -> None:
        self._bots.machine_of(trouble.bot).wrong += int(trouble.seconds * 1000)

    def _full(self, trouble: Trouble) -> None:
        servers = self._bots.stores.servers
        disk: StoreServer | Machine = (
            servers[trouble.on] if trouble.on else self._bots.machine_of(trouble.bot)
        )
        disk.full = True
        self._world.after(trouble.seconds, lambda: setattr(disk, "full", False))

    def _flush(self, trouble: Trouble) -> None:
        self._bots.machine_of(trouble.bot).bad_flushes += 1

    def _rows(self, trouble: Trouble) -> None:
        self._bots.machine_of(trouble.bot).bad_rows += 1

    def _apart(self, trouble: Trouble) -> None:
        pair = (self._bots.machine_of(trouble.bot).name, trouble.on)
        self._network.apart[pair] += 1
        self._world.after(trouble.seconds, lambda: self._network.apart.subtract([pair]))

    def _down(self, trouble: Trouble) -> None:
        self._network.down[trouble.on] += 1
        self._world.after(trouble.seconds, lambda: self._network.down.subtract([trouble.on]))

    def _back(self, trouble: Trouble) -> None:
        """Let a store's server fail over to a replica of its own that lags behind."""
        on = trouble.on or SERVER
        self._down(Trouble(what="down", on=on, seconds=trouble.seconds))
        self._bots.stores.servers[on].go_back(trouble.nth)

    def _promote(self, trouble: Trouble) -> bool:
        return self._bots.operator.begin(trouble)


def _awake(machine: Machine, stopped: Sequence[SimulatedProcess], seconds: float) -> None:
    machine.asleep += seconds
    for process in stopped:
        process.go_on()
