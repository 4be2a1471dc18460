"""One run of a plan: bots live, are troubled, end and start again until the market has ended; then all is judged."""

from collections.abc import Coroutine
from typing import Any, Final

from holdfast.errors import (
    LeaseHeld,
    LeaseLost,
    NotOpen,
    Orphaned,
    StoreFull,
    StoreInUse,
    Unavailable,
    Unknown,
    WentBack,
)
from holdfast.runtime.live.patience import Patience
from holdfast.store import Store
from holdfast.testing.bots import PATIENCE, traded_on
from holdfast.testing.exchange.options import Options
from holdfast.testing.scenarios import desk_of, market_of
from holdfast.testing.simulation.exchange import URL, ClientSession, Met, exchange_of
from holdfast.testing.simulation.moving import Operator
from holdfast.testing.simulation.network import Network
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.process import Machine, SimulatedProcess
from holdfast.testing.simulation.recorder import Book, Recorder
from holdfast.testing.simulation.server import SERVER, StoreServer
from holdfast.testing.simulation.stores import Stores
from holdfast.testing.simulation.troubling import Troubles
from holdfast.testing.simulation.world import World

__all__ = ("Running",)

LONGEST: Final = 3_600.0
SETTLING: Final = 30.0
"""Seconds after which a request that somebody has sent has arrived, or never will."""
LIVES: Final = 60
USUAL: Final = (Unavailable, Unknown, StoreFull, StoreInUse, LeaseHeld, LeaseLost, NotOpen, WentBack)
"""What a run may end with where its store or its exchange is away: it is started again."""


class Running:
    """A plan at work. `wrong` is what ended a life without a good reason, `refused` what a person is to check."""

    def __init__(self, plan: Plan, *, trace: bool = False) -> None:
        self.plan = plan
        self.world = World(plan.seed, trace=trace)
        self.network = Network(self.world, slow=plan.slow)
        self.book = Book()
        self.wrong: list[str] = []
        self.refused: list[str] = []
        self.machines = [Machine(f"host{i}") for i in range(plan.machines)]
        options = Options(
            pace=plan.pace, speed=plan.speed, warmup=2, request_expiry=plan.expiry, dedupe=plan.dedupe,
            fill_model=plan.scenario.rules.fill_model,
        )  # fmt: skip
        scenario = plan.scenario
        self.exchange = exchange_of(self.world, scenario, market_of({scenario.name: scenario}), options)
        self.stores = Stores(plan, self.world, self.network)
        self.operator = Operator(self)
        self._met: Met = {}
        self._processes: dict[int, SimulatedProcess] = {}
        self._lives = [0] * plan.bots
        self._done: set[int] = set()
        self._held = False
        self.troubles = Troubles(self.world, self.network, self, plan.troubles)
        self._judge: SimulatedProcess | None = None
        self._all: list[SimulatedProcess] = []

    # What troubles can be done to.

    @property
    def server(self) -> StoreServer:
        """The server that bots share where they share one."""
        return self.stores.servers[SERVER]

    def machine_of(self, bot: int) -> Machine:
        """Return where a bot runs."""
        return self.machines[bot % len(self.machines)]

    @property
    def lost(self) -> bool:
        """Whether the store has lost, on purpose, what it had acknowledged."""
        promotion = self.operator.promotion
        return bool(self.server.lost) or (promotion is not None and promotion.loss is not None)

    def process_of(self, bot: int) -> SimulatedProcess | None:
        """Return a bot's process, None where it has none now."""
        return self._processes.get(bot)

    def fell(self, bot: int, down: float) -> None:
        """Note that a bot's process has ended by force; it starts again in so many seconds."""
        del self._processes[bot]
        self.world.after(down, lambda: self._start(bot))

    def stop(self) -> None:
        """End every bot; none starts again before `go_on`."""
        self._held = True
        for bot in list(self._processes):
            self._processes.pop(bot).kill()

    def go_on(self) -> None:
        """Start every bot that is not done."""
        self._held = False
        for bot in range(self.plan.bots):
            self._start(bot)
        self._see_whether_over()

    def process(self, machine: Machine, name: str) -> SimulatedProcess:
        """Return a new process."""
        plan = self.plan
        process = SimulatedProcess(self.world, machine, name, slow=plan.slow, torn=plan.torn)
        self._all.append(process)
        return process

    # The run.

    def run(self) -> None:
        """Let the bots trade until all have come to the market's end, and what is on its way arrive; raises Stuck."""
        for bot in range(self.plan.bots):
            self.world.after(0.02 * bot, lambda bot=bot: self._start(bot))  # type: ignore[misc]
        self.world.run(limit=LONGEST)
        self.troubles.over, self.world.over = True, False
        self.world.after(SETTLING, lambda: setattr(self.world, "over", True))
        self.world.run(limit=self.world.now + LONGEST)

    def ask(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what some work comes to, in a process of its own, after the run."""
        process = self.judge()
        self.world.over = False
        task = process.start(work)
        task.add_done_callback(lambda _: setattr(self.world, "over", True))
        self.world.run(limit=self.world.now + LONGEST)
        return task.result()

    def reading(self) -> Store:
        """Return the store as it is found after the run: on files, after a power cut of the machine."""
        plan, process = self.plan, self.judge()
        plain = not (plan.replicated or plan.encrypted or plan.cached or plan.observed)
        return self.server.store if plain and plan.stores == "shared" else self.stores.of(process)

    def bury(self) -> None:
        """End every process, and let go of all that the run has made."""
        for process in self._all:
            if not process.dead:
                process.end()
            process.loop.bury()
        self.world.end()

    def judge(self) -> SimulatedProcess:
        """Return who looks at what is left, and to whom everything answers."""
        if self._judge is None:
            self.network.calm()
            for server in self.stores.servers.values():
                server.full = False
            self._judge = self.judge_of(self.machines[0], "judge")
        return self._judge

    def judge_of(self, machine: Machine, name: str) -> SimulatedProcess:
        """Return who looks at a machine after a power cut that has kept nothing but what was flushed."""
        machine.root = machine.root.after_cut(lambda: False)
        machine.full, machine.bad_flushes, machine.bad_rows = False, 0, 0
        return self.process(machine, name)

    def _start(self, bot: int) -> None:
        if self._held or bot in self._done or bot in self._processes:
            return
        self._lives[bot] += 1
        if self._lives[bot] > LIVES:
            self.wrong.append(f"bot {bot} does not come to its end in {LIVES} lives")
            self.world.over = True
            return
        process = self.process(self.machine_of(bot), f"bot{bot}.{self._lives[bot]}")
        process.passing = lambda point: self.troubles.reached(bot, process, point)
        self._processes[bot] = process
        self.world.counts["lives"] += 1
        task = process.start(self._live(bot, process))
        task.add_done_callback(lambda task: self._ended(bot, process, task))

    async def _live(self, bot: int, process: SimulatedProcess) -> dict[str, Any]:
        plan = self.plan
        store = Recorder(self.stores.of(process), self.book, process)
        desk = desk_of(
            plan.scenario,
            store=store,
            clock=process,
            ids=process.ids,
            processes=process,
            threads=process.threads,
        )
        session = ClientSession(process, self.network, self.exchange, self.book.accept, self._met)
        patience = Patience() if plan.patient else PATIENCE
        return await traded_on(
            desk, plan.scenario, URL, session=session, patience=patience, wait=plan.bots > 1, lease=plan.lease,
            symbols=plan.scenario.symbols[bot :: plan.bots] if plan.split else (),
            policy="ignore" if plan.split else "refuse",
            poll=0.05 if plan.pace == "paced" else 15.0 / plan.speed,
        )  # fmt: skip

    def _ended(self, bot: int, process: SimulatedProcess, task: Any) -> None:
        if process.dead:
            return
        error = task.exception()
        self.world.tell(process.name, f"ends {type(error).__name__ if error else task.result()}")
        self.wrong += [f"{process.name}: {said}" for said in process.loop.failed]
        process.end()
        del self._processes[bot]
        if error is None:
            self._finished(bot)
            return
        if isinstance(error, WentBack) and self.operator.unaccepted:  # every start is told, and has halted
            self._finished(bot)
            return
        if isinstance(error, Orphaned) and self.lost:  # as it must, where the store has lost orders
            self.refused.append(str(error))
            self._finished(bot)
            return
        if not isinstance(error, USUAL):
            self.wrong.append(f"{process.name} raised {type(error).__name__}: {error}")
        self.world.counts["ended early"] += 1
        self.world.after(1.0, lambda: self._start(bot))

    def _finished(self, bot: int) -> None:
        self._done.add(bot)
        self._see_whether_over()

    def _see_whether_over(self) -> None:
        self.world.over = len(self._done) == self.plan.bots and not self.operator.under_way

    def reached(self, point: str) -> None:
        """Take the place of `points.reached`."""
        process = self.world.running
        for bot, living in self._processes.items():
            if living is process:
                self.world.tell(living.name, point)
                self.troubles.reached(bot, living, point)
                return
        if isinstance(process, SimulatedProcess):
            process.check()
