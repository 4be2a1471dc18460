"""What the parts of a live run share: the store's ledger, the exchange, the orders, the seats, and who is told."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from holdfast.errors import Conflict, InvalidOption, StoreError
from holdfast.runtime.admission import settle_risk
from holdfast.runtime.book import Draft
from holdfast.runtime.calls import GuardedCaller
from holdfast.runtime.live.agreement import compare, doubtful
from holdfast.runtime.live.feed import Feed
from holdfast.runtime.live.ledger import Ledger
from holdfast.runtime.live.orders import Orders
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.seat import Seat
from holdfast.runtime.live.steady import Steady
from holdfast.runtime.spec import StrategySpec
from holdfast.store.backends.network import REPEAT
from holdfast.store.hold import Hold
from holdfast.system import Clock, Ids, Threads
from holdfast.trading.events import (
    ExchangeUnavailable,
    Happening,
    StoreRecovered,
    StoreUnavailable,
    StoreWarned,
    Waiting,
)
from holdfast.trading.inputs import Origin
from holdfast.trading.risk import Positions, RiskProfile

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker
    from holdfast.market.protocol import Exchange

__all__ = ("CONFLICTS", "Listener", "Parts")

T = TypeVar("T")
CONFLICTS: Final = 8
"""How often a step is taken anew: each Conflict means that somebody else has come further."""

Listener = Callable[[Sequence[Happening]], None]


class Parts:
    """The collaborators of one run, put together once."""

    def __init__(
        self,
        *,
        store: Steady,
        hold: Hold,
        exchange: "Exchange",
        broker: "Broker",
        wanted: Sequence[tuple[StrategySpec, str]],
        profiles: Mapping[str, RiskProfile],
        clock: Clock,
        ids: Ids,
        listener: Listener,
        threads: Threads | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.store = store
        self.exchange = exchange
        self.broker = broker
        self.profiles = profiles
        self.clock = clock
        self.hold = hold
        self.ledger = Ledger(store, hold=hold, ids=ids, emit=listener)
        self.patience = patience or Patience()
        self.orders = Orders(broker, exchange, self.ledger, clock=clock, patience=self.patience)
        self.caller = GuardedCaller(threads)
        self.feed = Feed(exchange)
        self.seats = [self.seat(spec, symbol) for spec, symbol in wanted]
        self._listener = listener
        self._warned: tuple[str, ...] = ()
        store.trouble, store.recovered = self.store_trouble, self.store_recovered

    def seat(self, spec: StrategySpec, symbol: str) -> Seat:
        """Return a seat of this run for a strategy on a symbol, not loaded yet."""
        return Seat(spec, Origin(self.store.namespace, spec.name, symbol, self.exchange.name, spec.risk))

    def chosen(self, symbol: str | None, strategy: str | None = None) -> list[Seat]:
        """Return the seats of a symbol and strategy (None: all); raises InvalidOption where there is none."""
        found = [
            seat
            for seat in self.seats
            if symbol in (None, seat.symbol) and strategy in (None, seat.origin.strategy)
        ]
        if not found:
            known = ", ".join(seat.name for seat in self.seats)
            raise InvalidOption(
                f"this run does not trade {strategy or 'any strategy'} on {symbol}; it trades {known}"
            )
        return found

    def places_left(self, drafts: Sequence[tuple[Seat, Draft]]) -> dict[str, Positions]:
        """Return the risk profiles' positions without the places of signals that are over after these drafts."""
        risks = dict(self.ledger.risks)
        for seat, draft in drafts:
            if seat.origin.risk is not None:
                risks[seat.origin.risk] = settle_risk(draft, True, risks[seat.origin.risk])
        return risks

    async def take(self, seats: Iterable[Seat], *, wait: bool = False) -> None:
        """Become the one process that trades these seats; raises LeaseHeld where another one does."""
        wanted = [(seat.origin.strategy, seat.symbol) for seat in seats]
        await self.store.patiently(partial(self.hold.take, wanted, wait=wait, waiting=self._waiting))

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the exchange's answer to a question that changes nothing; see `Patience.ask`."""
        return await self.patience.ask(self.clock, question)

    async def again(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step; where another run was first with something that it rests on, load all and take it anew.

        Raises the last Conflict after bounded attempts.
        """
        for _ in range(CONFLICTS):
            try:
                return await step()
            except Conflict as error:
                logging.getLogger("holdfast.live").warning("decided anew: %s", error)
                await self.reload()
        return await step()

    async def reload(self) -> None:
        """Make the seats what the store holds now; what contradicts its history then is halted, by a commit."""
        await self.ledger.load(self.seats)
        for seat in [seat for seat in self.seats if seat.book is not None]:  # else it has never begun
            doubt = await compare(self.store, seat, seat.held.run.cursor)
            if doubt and not seat.held.run.halted:
                draft = seat.draft(self.clock.now())
                draft.halt(doubtful(doubt))
                await self.ledger.commit([(seat, draft)], vital=True)

    def store_trouble(self, error: Exception, again: bool = True) -> None:
        """Tell everybody that the store refused or failed, and whether it is asked again: it cannot be stored."""
        # What a backend advises to whoever calls it, the run does itself.
        said = str(error).removesuffix(REPEAT)
        self._tell(self.seats, StoreUnavailable, error=f"{said}; asking again" if again else said)

    def store_recovered(self, seconds: float, error: Exception) -> None:
        """Tell everybody that the store answers again, and have that stored with each seat's next commit."""
        facts = {"seconds": round(seconds, 3), "error": str(error).removesuffix(REPEAT)}
        for seat, event in zip(self.seats, self._tell(self.seats, StoreRecovered, **facts), strict=True):
            self.ledger.outages.setdefault(seat, []).append(event)

    def exchange_trouble(self, seat: Seat, error: Exception) -> None:
        """Tell that the exchange did not answer for a seat."""
        self._tell([seat], ExchangeUnavailable, error=str(error))

    def watch(self, *, told: bool = False) -> None:
        """Tell what the store has come to warn of, and what is over, since the last look; `told`: all is told."""
        before, now = self._warned, self.store.warnings
        self._warned = now
        if told or before == now:
            return
        still = {_subject(warning) for warning in now}
        for warning in before:
            if _subject(warning) not in still:
                self._tell(self.seats, StoreWarned, warning=warning, over=True)
        for warning in now:
            if warning not in before:
                self._tell(self.seats, StoreWarned, warning=warning)

    async def farewell(self) -> None:
        """Tell, at the end, which copies of the store lack something; where that cannot be asked, tell that."""
        try:
            for warning in await self.store.behind():
                self._tell(self.seats, StoreWarned, warning=warning)
        except StoreError as error:
            self.store_trouble(error, again=False)

    def _waiting(self, reason: str) -> None:
        self._tell(self.seats, Waiting, reason=reason)

    def _tell(self, seats: Iterable[Seat], kind: type[T], **facts: Any) -> list[T]:
        make: Any = kind
        at = self.clock.now()
        events = [make(symbol=seat.symbol, strategy=seat.origin.strategy, at=at, **facts) for seat in seats]
        self._listener(events)
        return events


def _subject(warning: str) -> str:
    return warning.partition(": ")[0]  # behind it comes why, which may change
