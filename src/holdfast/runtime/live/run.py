"""One live run as a user holds it: an async iterator of events, with a hand on what goes on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from holdfast.errors import InvalidOption, StoreInUse
from holdfast.runtime.live.connect import connected
from holdfast.runtime.live.engine import Engine
from holdfast.runtime.live.parts import Listener, Parts
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.start import OrphanPolicy, Start
from holdfast.runtime.live.steady import Steady
from holdfast.runtime.spec import ExchangeSpec, StrategySpec
from holdfast.store import Store
from holdfast.store.hold import Hold
from holdfast.store.lease import LEASE_SECONDS, Lease
from holdfast.store.workers import described
from holdfast.trading.events import Happening, Waiting

if TYPE_CHECKING:
    from holdfast.runtime.desk import Desk

__all__ = ("LiveRun", "Options", "SeatStatus")

LOOK_AGAIN: Final = 0.5
"""Seconds after which a store that only one process can have open is tried again."""


class SeatStatus(Struct, frozen=True, kw_only=True):
    """How a strategy stands on a symbol: `status` of its signal, or "idle"; `cursor` is market time (ms)."""

    strategy: str
    symbol: str
    status: str
    cursor: int
    stopped: bool
    halted: str


class Options(Struct, frozen=True, kw_only=True):
    """How a run is to start and to wait; see `Live.run`."""

    policy: OrphanPolicy
    resume: bool
    release: bool
    poll: float
    patience: Patience | None
    wait: bool = False
    lease: float = LEASE_SECONDS


class LiveRun:
    """One live run: iterate it for its events, each yielded after its commit. Leaving the iteration detaches."""

    def __init__(
        self,
        desk: "Desk",
        exchange: ExchangeSpec,
        wanted: Sequence[tuple[StrategySpec, str]],
        options: Options,
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
        """Take no new signals from now on; see `Control.stop`."""
        await self.engine.control.stop(symbol)

    async def resume(self, symbol: str | None = None) -> None:
        """Take new signals again; see `Control.resume`."""
        await self.engine.control.resume(symbol)

    async def release(self, symbol: str | None = None) -> None:
        """Take the signals of halted symbols off the books; see `Control.release`."""
        await self.engine.control.release(symbol)

    async def close(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Close a symbol's open signal at the market now; False where there is none."""
        return await self.engine.control.request("close", symbol, strategy_name)

    async def cancel(self, symbol: str, *, strategy_name: str | None = None) -> bool:
        """Cancel a symbol's scheduled entry now; False where there is none."""
        return await self.engine.control.request("cancel", symbol, strategy_name)

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

    def __aiter__(self) -> AsyncGenerator[Happening, None]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Happening, None]:
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

    async def trade(self, listener: Listener) -> None:
        """Run to the end, telling `listener` what was committed; the store is opened and closed here.

        Raises LeaseHeld where another run, of this desk or of another process, has one of the strategies on one of
        the symbols, StoreInUse where another process has a store open that only one can (unless told to wait), and
        LeaseLost where another process has taken over.
        """
        rules = self._wanted[0][0].rules
        with self._desk.taking((spec.name, symbol) for spec, symbol in self._wanted):
            async with AsyncExitStack() as stack:
                shared = await self._opened(stack, listener)
                if shared is None:
                    return
                store = Steady(shared, clock=self._desk.clock, ids=self._desk.ids)
                async with (
                    connected(self._exchange, store, rules) as (market, broker),
                    self._hold(shared, broker) as hold,
                ):
                    self._engine = self._assembled(store, hold, market, broker, listener)
                    if self._detached:
                        return
                    await self._engine.run()

    async def _opened(self, stack: AsyncExitStack, listener: Listener) -> Store | None:
        """Return the desk's store, open until the stack ends; None where the run was let go of while it waited."""
        told = False
        while not self._detached:
            try:
                return await stack.enter_async_context(self._desk.adapters.opened())
            except StoreInUse as error:
                if not self._options.wait:
                    raise
                if not told:
                    listener([self._waiting(spec, symbol, error) for spec, symbol in self._wanted])
                told = True
            await self._desk.clock.sleep(LOOK_AGAIN)
        return None

    def _waiting(self, spec: StrategySpec, symbol: str, error: StoreInUse) -> Waiting:
        who = described(**{"pid": 0, "host": "", "since": 0, **_holder(error)})
        reason = f"waiting for {who} to close the store"
        return Waiting(symbol=symbol, strategy=spec.name, at=self._desk.clock.now(), reason=reason)

    def _hold(self, store: Store, broker: Any) -> Hold:
        """Return what keeps others from these seats: a lease, unless only one process can have the store open."""
        desk, expiry = self._desk, broker.request_expiry or 0.0
        if not store.shared:
            return Hold()
        return Lease(
            store,
            clock=desk.clock,
            ids=desk.ids,
            processes=desk.processes,
            seconds=max(self._options.lease, 3 * expiry),  # a request must fit in with room to spare
        )

    def _assembled(self, store: Steady, hold: Hold, market: Any, broker: Any, listener: Listener) -> Engine:
        parts = Parts(
            store=store,
            hold=hold,
            exchange=market,
            broker=broker,
            wanted=self._wanted,
            profiles=self._desk.profiles,
            clock=self._desk.clock,
            ids=self._desk.ids,
            listener=listener,
            threads=self._desk.threads,
            patience=self._options.patience,
        )
        start = Start(
            parts,
            policy=self._options.policy,
            registered=self._desk.strategies,
            resume=self._options.resume,
            release=self._options.release,
        )
        taking = partial(parts.take, parts.seats, wait=self._options.wait)
        return Engine(parts, start, taking, poll=self._options.poll)


def _holder(error: StoreInUse) -> dict[str, Any]:
    return {name: error.facts[name] for name in ("pid", "host", "since") if name in error.facts}
