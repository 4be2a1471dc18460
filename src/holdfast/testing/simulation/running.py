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
from holdfast.persist.adapter_store import AdapterStore
from holdfast.runtime.live.patience import Patience
from holdfast.store import Store
from holdfast.store.backends.file.store import FileStore
from holdfast.store.wrappers.cached import Cached
from holdfast.testing.bots import PATIENCE, traded_on
from holdfast.testing.exchange.options import Options
from holdfast.testing.scenarios import desk_of, market_of
from holdfast.testing.simulation.exchange import URL, ClientSession, Met, exchange_of
from holdfast.testing.simulation.network import Network
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.process import Machine, SimulatedProcess
from holdfast.testing.simulation.recorder import Book, Recorder
from holdfast.testing.simulation.rows import rows_of
from holdfast.testing.simulation.server import SharedClient, StoreServer
from holdfast.testing.simulation.troubling import Troubles
from holdfast.testing.simulation.world import World

__all__ = ("Running",)

FOLDER: Final = "/srv/bot/data"
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
        self.server = StoreServer(self.world)
        self._met: Met = {}
        self._processes: dict[int, SimulatedProcess] = {}
        self._lives = [0] * plan.bots
        self._done: set[int] = set()
        self.troubles = Troubles(self.world, self.network, self, plan.troubles)
        self._judge: SimulatedProcess | None = None
        self._all: list[SimulatedProcess] = []

    # What troubles can be done to.

    def machine_of(self, bot: int) -> Machine:
        """Return where a bot runs."""
        return self.machines[bot % len(self.machines)]

    def process_of(self, bot: int) -> SimulatedProcess | None:
        """Return a bot's process, None where it has none now."""
        return self._processes.get(bot)

    def fell(self, bot: int, down: float) -> None:
        """Note that a bot's process has ended by force; it starts again in so many seconds."""
        del self._processes[bot]
        self.world.after(down, lambda: self._start(bot))

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
        process = self._judging()
        self.world.over = False
        task = process.start(work)
        task.add_done_callback(lambda _: setattr(self.world, "over", True))
        self.world.run(limit=self.world.now + LONGEST)
        return task.result()

    def reading(self) -> Store:
        """Return the store as it is found after the run: on files, after a power cut of the machine."""
        process = self._judging()
        if self.plan.stores == "shared":
            return self.server.store
        return self._local(process)

    def bury(self) -> None:
        """End every process, and let go of all that the run has made."""
        for process in self._all:
            if not process.dead:
                process.end()
            process.loop.bury()
        self.world.end()

    def _judging(self) -> SimulatedProcess:
        if self._judge is None:
            machine = self.machines[0]
            machine.root = machine.root.after_cut(lambda: False)
            machine.full, machine.bad_flushes, machine.bad_rows = False, 0, 0
            self._judge = SimulatedProcess(self.world, machine, "judge")
            self._all.append(self._judge)
        return self._judge

    def _start(self, bot: int) -> None:
        if bot in self._done or bot in self._processes:
            return
        self._lives[bot] += 1
        if self._lives[bot] > LIVES:
            self.wrong.append(f"bot {bot} does not come to its end in {LIVES} lives")
            self.world.over = True
            return
        name = f"bot{bot}.{self._lives[bot]}"
        process = SimulatedProcess(
            self.world, self.machine_of(bot), name, slow=self.plan.slow, torn=self.plan.torn
        )
        process.passing = lambda point: self.troubles.reached(bot, process, point)
        self._processes[bot] = process
        self._all.append(process)
        self.world.counts["lives"] += 1
        task = process.start(self._live(bot, process))
        task.add_done_callback(lambda task: self._ended(bot, process, task))

    async def _live(self, bot: int, process: SimulatedProcess) -> dict[str, Any]:
        plan = self.plan
        store = Recorder(self._store(process), self.book, process)
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
        if isinstance(error, Orphaned) and self.server.lost:  # as it must, where the store has lost orders
            self.refused.append(str(error))
            self._finished(bot)
            return
        if not isinstance(error, USUAL):
            self.wrong.append(f"{process.name} raised {type(error).__name__}: {error}")
        self.world.counts["ended early"] += 1
        self.world.after(1.0, lambda: self._start(bot))

    def _finished(self, bot: int) -> None:
        self._done.add(bot)
        self.world.over = len(self._done) == self.plan.bots

    def _store(self, process: SimulatedProcess) -> Store:
        store = self._uncached(process)
        return Cached(store, size=100, max_age=60.0, clock=process) if self.plan.cached else store

    def _uncached(self, process: SimulatedProcess) -> Store:
        if self.plan.stores == "shared":
            return SharedClient(process, self.network, self.server)
        return self._local(process)

    def _local(self, process: SimulatedProcess) -> Store:
        if self.plan.stores == "adapter":
            options: Any = {"clock": process, "ids": process.ids, "disk": process.disk}
            return AdapterStore({"signal": rows_of(process)}, base_dir=FOLDER, **options)
        return self._files(process)

    def _files(self, process: SimulatedProcess) -> FileStore:
        return FileStore(
            FOLDER, clock=process, ids=process.ids, disk=process.disk, threads=process.threads,
            segment_bytes=self.plan.segment_bytes, checkpoint_seconds=self.plan.checkpoint_seconds,
        )  # fmt: skip

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
