"""Orders filled on paper: an account of our own, at an exchange of which only the prices are used."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

from msgspec.structs import replace

from holdfast.broker.account import Account, Entry, Now
from holdfast.errors import Conflict, InvalidOption, Rejected, StoreFull, Unavailable, Unknown
from holdfast.store.base import ABSENT, Expect, Key, Put, Store
from holdfast.store.codec import Schema
from holdfast.system import Clock, SystemClock
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.fills import VWAP_CANDLES, FillModel, current_price
from holdfast.trading.order import Order, OrderState

__all__ = ("PaperBroker", "Prices")

T = TypeVar("T")

PAGE = 1_000
ENTRY = Schema(Entry, "paper-order", 1)


class Prices(Protocol):
    """The part of an exchange that orders on paper need."""

    name: str
    waits: bool

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> Sequence[Candle]:
        """Return closed candles from `since`."""

    async def now(self) -> int:
        """Return the market's time."""


class PaperBroker:
    """A broker whose orders live in a store: they outlast a crash just as an exchange's would.

    Each change is one commit, made before anyone is told of it; the entities are `paper.{name}`. Market orders are
    filled by the fill model after the last closed candle, resting ones whenever the broker is asked for anything,
    with every candle since. A client id is never taken twice. Where the market does not wait, an order that a level
    triggered is filled at the current price: the level is in the past.
    """

    client_ids: Literal["none", "open_only", "window"] = "window"
    lookup_window = float("inf")
    request_expiry: float | None = 5.0

    def __init__(
        self,
        store: Store,
        exchange: Prices,
        *,
        name: str = "paper",
        fill_model: FillModel = "touch",
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.account = f"paper.{name}"
        self._store = store
        self._exchange = exchange
        self._model: FillModel = fill_model
        self._clock = clock or SystemClock()
        self._head = Key(self.account, "head")
        self._book: Account | None = None
        self._version: Expect = ABSENT
        self._matched: dict[str, int] = {}
        self._turn = asyncio.Lock()

    async def time(self) -> int:
        """Return the wall clock (ms) that requests expire by: this machine's."""
        return self._clock.now()

    async def submit(self, order: Order, *, expires_at: int = 0) -> OrderState:
        """Execute an order or let it rest; raises Rejected, or Unknown where prices or the store did not answer.

        Unknown with the reason "duplicate" says that an order of that client id is there already.
        """
        now = await self._market(order.symbol)
        if not self._exchange.waits:
            order = replace(order, trigger=None, trigger_price=None)

        def submitted(book: Account) -> list[Entry]:
            if expires_at and self._clock.now() > expires_at:
                raise Rejected(f"the request for {order.client_id} came too late", reason="expired")
            return [book.submit(order, now)]

        (entry,) = await self._change(submitted)
        return entry.state

    async def lookup(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Return the order of a client id, None where there is none; raises Unknown."""
        entry = await self._see(lambda book: book.find(client_id, symbol))
        return entry.state if entry else None

    async def cancel(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Cancel an order that is not final and return it, None where there is none; raises Unknown."""

        def cancelled(book: Account) -> list[Entry]:
            before, entry = book.find(client_id, symbol), book.cancel(client_id, symbol)
            return [entry] if entry is not None and entry is not before else []

        await self._change(cancelled)
        return await self.lookup(client_id, symbol=symbol)

    async def open_orders(self) -> list[OrderState]:
        """Return all open orders; raises Unknown."""
        return await self._see(lambda book: [entry.state for entry in book.open])

    async def fills(self, since: int) -> list[OrderState]:
        """Return the orders with a fill at or after `since` (market time, ms); raises Unknown."""
        return await self._see(lambda book: [entry.state for entry in book.filled_since(since)])

    async def positions(self) -> dict[str, float]:
        """Return what is held by symbol, negative for short; raises Unknown."""
        return await self._see(lambda book: {symbol: held for symbol, held in book.positions.items() if held})

    async def _see(self, look: Callable[[Account], T]) -> T:
        seen: list[T] = []

        def looked(book: Account) -> list[Entry]:
            seen[:] = [look(book)]
            return []

        await self._change(looked)
        return seen[0]

    async def _change(self, action: Callable[[Account], list[Entry]]) -> list[Entry]:
        """Do something with the account as it is in the store now, and commit what it changed."""
        async with self._turn:
            while True:
                try:
                    book = await self._fresh()
                    await self._commit(await self._match(book))
                    return await self._commit(action(book))
                except Conflict:  # another process trades on this paper account, and was first
                    self._book = None
                except Rejected as refusal:
                    if refusal.reason == "duplicate":  # no final no: an order of that id is there
                        raise Unknown(str(refusal), reason="duplicate") from refusal
                    raise
                except BaseException as error:  # nobody knows whether the commit happened: read it again
                    self._book = None
                    if isinstance(error, Unavailable | StoreFull):
                        raise Unknown(f"{self.name}: {error}") from error
                    raise

    async def _fresh(self) -> Account:
        (head,) = await self._store.get(self._head)
        version: Expect = head.version if head else ABSENT
        while self._book is None or version != self._version:
            self._book, self._matched = await self._load(), {}
            self._version = version
            (head,) = await self._store.get(self._head)
            version = head.version if head else ABSENT
        return self._book

    async def _load(self) -> Account:
        book = Account(model=self._model, dedupe="always")
        async for record in self._store.scan(self.account):
            if record.key != self._head:
                book.load(ENTRY.from_document(record.value))
        return book

    async def _commit(self, changed: list[Entry]) -> list[Entry]:
        if changed:
            # Vital: a fill that has happened is kept, also where a store has no more room for new things.
            # The head makes one queue of all changes: an order that another process has sent is never overlooked.
            head = Put(self._head, len(self._book.entries) if self._book else 0, self._version)
            newest = {entry.number: entry for entry in changed}
            puts = [Put(self._key(entry), ENTRY.to_document(entry)) for entry in newest.values()]
            self._version = await self._store.commit([head, *puts], vital=True)
        return changed

    def _key(self, entry: Entry) -> Key:
        return Key(self.account, f"{entry.number:012d}")

    async def _match(self, book: Account) -> list[Entry]:
        changed: list[Entry] = []
        if book.open:
            until = await self._exchange.now() // MINUTE * MINUTE
            for symbol in _symbols(book.open):
                changed += await self._match_symbol(book, symbol, until)
        return changed

    async def _match_symbol(self, book: Account, symbol: str, until: int) -> list[Entry]:
        changed: list[Entry] = []
        first = min(entry.at for entry in book.open if entry.order.symbol == symbol)
        since = max(self._matched.get(symbol, 0), -(-first // MINUTE) * MINUTE)
        while since < until:  # never beyond the last closed candle: a waiting market would move on
            limit = min((until - since) // MINUTE, PAGE)
            candles = await self._exchange.candles(symbol, "1m", since, limit)
            for candle in candles:
                changed += book.match(symbol, candle)
            since = candles[-1].at + MINUTE if candles else until
        self._matched[symbol] = since
        return changed

    async def _market(self, symbol: str) -> Now:
        try:
            now = await self._exchange.now()
            since = (now // MINUTE - VWAP_CANDLES) * MINUTE
            window = await self._exchange.candles(symbol, "1m", since, VWAP_CANDLES)
        except InvalidOption as error:
            raise Rejected(f"{self.name}: {error}", reason="symbol") from error
        except Unavailable as error:
            raise Unknown(f"{self.name}: {error}") from error
        if not window:
            raise Unknown(f"{self.name}: {self._exchange.name} has no prices of {symbol} yet")
        return Now(now, window[-1], current_price(self._model, list(window)))


def _symbols(entries: Iterable[Entry]) -> list[str]:
    return list({entry.order.symbol: None for entry in entries})
