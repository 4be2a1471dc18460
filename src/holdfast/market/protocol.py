"""What Holdfast asks of an exchange's market data: closed candles, the market's clock, and lot sizes."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from holdfast.trading.candle import Candle

__all__ = ("Exchange", "Market")


class Market(Struct, frozen=True, kw_only=True):
    """A symbol's trading rules: steps and least sizes, 0 for none; prices in quote, quantities in base units."""

    symbol: str
    price_step: float = 0.0
    quantity_step: float = 0.0
    min_quantity: float = 0.0
    min_cost: float = 0.0


class Exchange(Protocol):
    """Candles and the market's clock. Times are milliseconds since 1970 UTC, in market time.

    Errors are HoldfastErrors: MarketEnded where no further candle will come, Unavailable where the exchange did
    not answer (retryable). `waits` says whether the market stands still until the trader asks for its next
    candle (replay, paced): then nothing is ever late.
    """

    name: str
    waits: bool

    async def candles(self, symbol: str, interval: str, since: int, limit: int) -> Sequence[Candle]:
        """Return up to `limit` closed candles whose open time is >= `since`, oldest first.

        Empty where none has closed yet. Where the market waits for the trader (replay, paced), asking for 1m
        candles beyond the last closed one makes it advance to the next.
        """

    async def now(self) -> int:
        """Return the market's time."""

    async def market(self, symbol: str) -> Market:
        """Return a symbol's trading rules; raises InvalidOption for one that is not traded."""
