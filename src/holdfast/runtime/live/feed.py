"""The feed: closed candles for each seat, from where its book stands; and the candles its strategy looks back at."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from holdfast.errors import BadCandles
from holdfast.market.candles import View, Window
from holdfast.runtime.live.seat import Seat
from holdfast.trading.candle import MINUTE, Candle

if TYPE_CHECKING:
    from holdfast.market.protocol import Exchange

__all__ = ("BATCH", "Feed")

BATCH: Final = 500
"""Candles asked for at once; only the last candle of an answer that is shorter can be the market's newest."""


class Feed:
    """Asks an exchange for candles: once a round for all seats that stand at the same place of a symbol."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._answers: dict[tuple[str, int], list[Candle]] = {}

    def new_round(self) -> None:
        """Forget the answers of the round before."""
        self._answers.clear()

    async def next(self, seat: Seat) -> list[Candle]:
        """Return the candles closed since the seat's cursor, gaps filled with flat ones; empty where none has."""
        cursor, window = seat.held.run.cursor, seat.turn.candles
        if isinstance(window, Window):
            window.rewind(cursor)  # a step that was dropped has shown candles that are to come again
        place = (seat.symbol, cursor)
        if place not in self._answers:
            answer = await self._exchange.candles(seat.symbol, "1m", cursor, BATCH)
            self._answers[place] = list(_without_gaps(_last(window), _checked(answer)))
        return self._answers[place]

    async def warm_up(self, seat: Seat) -> Window:
        """Return a window with the `history` minutes before the seat's cursor, as far as the market has them."""
        window, cursor = Window(seat.spec.history), seat.held.run.cursor
        # A market that waits is first brought to where the seat stands: it may have begun anew.
        await self._exchange.candles(seat.symbol, "1m", cursor - MINUTE, 1)
        since = cursor - seat.spec.history * MINUTE
        while since < cursor:
            wanted = min(BATCH, (cursor - since) // MINUTE)
            answer = await self._exchange.candles(seat.symbol, "1m", since, wanted)
            past = [candle for candle in _checked(answer) if since <= candle.at < cursor]
            if not past:
                break
            for candle in _without_gaps(_last(window), past):
                window.append(candle)
            since = past[-1].at + MINUTE
        return window


def _last(candles: "Window | View") -> Candle | None:
    return candles.last if len(candles) else None


def _checked(candles: Sequence[Candle]) -> Sequence[Candle]:
    """Return candles that can be right; raises BadCandles for an answer that makes no sense."""
    for candle in candles:
        prices = (candle.open, candle.close, candle.low)
        sane = candle.high - candle.low >= 0 and all(candle.low <= price <= candle.high for price in prices)
        if not sane or not candle.low > 0 or not candle.high < math.inf or candle.at % MINUTE:
            raise BadCandles(
                f"the exchange answered a candle that cannot be right: {candle}", reason="nonsense"
            )
    return candles


def _without_gaps(last: Candle | None, candles: Sequence[Candle]) -> Iterator[Candle]:
    """Yield candles in order, each minute once; a minute in which nothing was traded is flat at the last close."""
    for candle in candles:
        while last is not None and last.at + MINUTE < candle.at:
            last = Candle(last.at + MINUTE, last.close, last.close, last.close, last.close, 0.0)
            yield last
        if last is None or candle.at > last.at:
            last = candle
            yield candle
