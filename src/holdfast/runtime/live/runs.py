"""Live runs as a user starts them: an async iterator of events, or a handle on a run in the background."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.runtime.live.background import LoopThread
from holdfast.runtime.live.connect import connected
from holdfast.runtime.live.engine import Engine
from holdfast.runtime.live.orders import Patience
from holdfast.runtime.live.start import OrphanPolicy
from holdfast.runtime.spec import ExchangeSpec, StrategySpec
from holdfast.trading.events import Happening

if TYPE_CHECKING:
    from holdfast.runtime.desk import Desk

__all__ = ("Handle", "Live", "LiveRun", "SeatStatus")

T = TypeVar("T")


class SeatStatus(Struct, frozen=True, kw_only=True):
    """How a strategy stands on a symbol: `status` of its signal, or "idle"; `cursor` is market time (ms)."""

    strategy: str
    symbol: str
    status: str
    cursor: int
    stopped: bool
    halted: str


class Live:
    """Starts live runs of a desk."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk

    def run(
        self,
        symbols: str | Sequence[str],
        *,
        strategy_name: str | Sequence[str] | None = None,
        exchange_name: str | None = None,
        policy: OrphanPolicy = "refuse",
        resume: bool = False,
        poll: float = 1.0,
        patience: Patience | None = None,
    ) -> "LiveRun":
        """Return a live run of strategies on symbols; it starts when it is iterated, and yields its events.

        `policy` says what to do with open signals that nobody in this run would watch, `resume` lifts stored
        stops and halts, `poll` is the longest pause (s) before an exchange is asked for candles again.
        """
        names = [strategy_name] if strategy_name is None or isinstance(strategy_name, str) else [*strategy_name]
        wanted = [symbols] if isinstance(symbols, str) else [*symbols]
        if not wanted or not names or len(set(wanted)) < len(wanted):
            raise InvalidOption("a run needs symbols, each once, and a strategy")
        specs = [self._desk.strategy_named(name) for name in names]
        pairs = [(spec, symbol) for symbol in wanted for spec in specs]
        exchange = self._desk.exchange_named(exchange_name)
        options = {"policy": policy, "resume": resume, "poll": poll, "patience": patience}
        return LiveRun(self._desk, exchange, pairs, options)

    def background(
        self,
        symbols: str | Sequence[str],
        *,
        strategy_name: str | Sequence[str] | None = None,
        exchange_name: str | None = None,
        on_event: Callable[[Happening], None] | None = None,
        **options: Any,
    ) -> "Handle":
        """Start a live run on a thread of the desk and return a handle on it; no signal handlers are installed.

        Works from a plain script as from a running loop. The process lives on until the run ends. Open signals of
        registered strategies may belong to a run that is started next: they are only warned about.
        """
        options.setdefault("policy", "later")
        run = self.run(symbols, strategy_name=strategy_name, exchange_name=exchange_name, **options)
        return Handle(run, self._desk.loop_thread(), on_event)


class LiveRun:
    """One live run: iterate it for its events, each yielded after its commit. Leaving the iteration detaches."""

    def __init__(
        self,
        desk: "Desk",
        exchange: ExchangeSpec,
        wanted: Sequence[tuple[StrategySpec, str]],
        options: dict[str, Any],
    ) -> None:
        self._desk = desk
        self._exchange = exchange
        self._wanted = wanted
        self._options = options
        self._events: asyncio.Queue[Happening | None] = asyncio.Queue()
        self._engine: Engine | None = None
        self._detached = False

    @property
    def engine(self) -> Engine:
        """The engine of the run; raises InvalidOption before it has started."""
        if self._engine is None:
            raise InvalidOption("the run has not started yet")
        return self._engine

    def detach(self) -> None:
        """Let go after the step under way: positions and orders stay, nothing is stored, the next start resumes."""
        self._detached = True
        if self._engine is not None:
            self._engine.detach()

    async def stop(self, symbol: str | None = None) -> None:
        """Take no new signals from now on; see `Engine.stop`."""
        await self.engine.stop(symbol)

    async def resume(self, symbol: str | None = None) -> None:
        """Take new signals again; see `Engine.resume`."""
        await self.engine.resume(symbol)

    async def close(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Close a symbol's open signal at the market now; False where there is none."""
        return await self.engine.request("close", symbol, strategy_name)

    async def cancel(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Cancel a symbol's scheduled entry now; False where there is none."""
        return await self.engine.request("cancel", symbol, strategy_name)

    def status(self) -> list[SeatStatus]:
        """Return how each strategy stands on each symbol, as committed."""
        seats = self._engine.seats if self._engine is not None else []
        return [
            SeatStatus(
                strategy=seat.origin.strategy,
                symbol=seat.symbol,
                status=seat.row.status if seat.row else "idle",
                cursor=seat.held.run.cursor,
                stopped=seat.held.run.stopped,
                halted=seat.held.run.halted,
            )
            for seat in seats
            if seat.book is not None
        ]

    def __aiter__(self) -> AsyncIterator[Happening]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Happening]:
        task = asyncio.create_task(self.trade(self._listen))
        task.add_done_callback(lambda _: self._events.put_nowait(None))
        try:
            while (event := await self._events.get()) is not None:
                yield event
            await task
        finally:
            self.detach()
            await asyncio.wait([task])

    def _listen(self, events: Sequence[Happening]) -> None:
        for event in events:
            self._events.put_nowait(event)

    async def trade(self, listener: Callable[[Sequence[Happening]], None]) -> None:
        """Run to the end, telling `listener` what was committed; the store is opened and closed here."""
        rules = self._wanted[0][0].rules
        with self._desk.adapters.running():
            async with (
                self._desk.adapters.opened() as store,
                connected(self._exchange, store, rules) as (market, broker),
            ):
                self._engine = Engine(
                    store=store,
                    exchange=market,
                    broker=broker,
                    wanted=self._wanted,
                    registered=frozenset(self._desk.strategies),
                    profiles=self._desk.profiles,
                    clock=self._desk.clock,
                    ids=self._desk.ids,
                    listener=listener,
                    **self._options,
                )
                if self._detached:
                    return
                await self._engine.run()


class Handle:
    """A run in the background; its methods may be called from any thread and return when they are committed."""

    def __init__(self, run: LiveRun, thread: LoopThread, on_event: Callable[[Happening], None] | None) -> None:
        self._run = run
        self._thread = thread
        self._on_event = on_event
        self._done = thread.start(self._trade())

    async def _trade(self) -> None:
        await self._run.trade(self._listen)

    def _listen(self, events: Sequence[Happening]) -> None:
        if self._on_event is not None:
            for event in events:
                self._on_event(event)

    def stop(self, symbol: str | None = None) -> None:
        """Take no new signals from now on, also after restarts; open ones are watched to their end, then it ends."""
        self._call(self._run.stop(symbol))

    def resume(self, symbol: str | None = None) -> None:
        """Take new signals again, and go on with symbols that were halted."""
        self._call(self._run.resume(symbol))

    def close(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Close a symbol's open signal at the market now; False where there is none."""
        return self._call(self._run.close(symbol, strategy_name=strategy_name))

    def cancel(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Cancel a symbol's scheduled entry now; False where there is none."""
        return self._call(self._run.cancel(symbol, strategy_name=strategy_name))

    def detach(self) -> None:
        """Let go after the step under way; the next start resumes."""
        self._thread.soon(self._run.detach)

    def status(self) -> list[SeatStatus]:
        """Return how each strategy stands on each symbol, as committed."""
        return self._run.status()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the run has ended; raises what ended it, TimeoutError after `timeout` seconds."""
        self._done.result(timeout)

    def _call(self, work: "Coroutine[Any, Any, T]") -> T:
        return self._thread.start(work).result()
