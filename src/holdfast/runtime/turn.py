"""One turn: what one candle means for one (strategy, symbol), in the order that backtest and live share.

    exchange's word -> levels and time limit -> manage -> ask the strategy (what it proposes: `admission`)

A turn makes a draft and touches nothing else: the caller commits it, or drops it.
"""

import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from holdfast.errors import InvalidSignal, InvalidValue
from holdfast.runtime.absence import Absence
from holdfast.runtime.book import Draft
from holdfast.runtime.calls import Caller, Hung, in_words
from holdfast.runtime.context import Context
from holdfast.runtime.spec import StrategySpec
from holdfast.store.codec import encode
from holdfast.trading.candle import Candle
from holdfast.trading.events import StrategyFailed
from holdfast.trading.fills import VWAP_CANDLES, current_price
from holdfast.trading.inputs import Outcome, Request, Tick
from holdfast.trading.order import OrderState
from holdfast.trading.rules import validate
from holdfast.trading.signal import Cancel, Close, Signal

if TYPE_CHECKING:
    from holdfast.market.candles import View, Window

__all__ = ("Turn",)


class Turn:
    """The turns of one (strategy, symbol): its spec, its candles, and how its functions are called."""

    def __init__(self, spec: StrategySpec, candles: "Window | View", caller: Caller) -> None:
        self.spec = spec
        self.candles = candles
        self._call = caller
        self._log = logging.getLogger(f"holdfast.strategy.{spec.name}")
        self._absence = Absence()

    async def take(
        self,
        draft: Draft,
        candle: Candle,
        at: int,
        *,
        observed: Sequence[OrderState] = (),
        late: bool = False,
        ask: bool = True,
    ) -> None:
        """Feed one closed candle into a draft; `observed` are orders as the exchange knows them now.

        A `late` candle is one that the market has already left behind: nothing is asked, no level is filled.
        Without `ask` no new signal is wanted now; the interval counts as not asked.
        """
        price = current_price(self.spec.rules.fill_model, self.candles.recent(VWAP_CANDLES))
        had = draft.book.row
        for order in observed:
            draft.feed(Outcome(order=order, at=at))
        if draft.book.row is not None:
            draft.feed(Tick(candle=candle, at=at, price=price, late=late))
        draft.price, draft.at = price, at
        if not late and self.spec.manage is not None:
            await self._manage(draft)
        if had is None and ask:
            await self._ask(draft, late=late)
        draft.run(cursor=at)

    async def _manage(self, draft: Draft) -> None:
        row = draft.book.row
        if row is None or row.intent is not None or row.status not in ("scheduled", "open"):
            return
        if self._is_away(draft):
            return
        answer = await self._answer(draft, self.spec.manage, Close | Cancel)
        if answer is not None:
            draft.feed(Request(kind="close" if isinstance(answer, Close) else "cancel", at=draft.at))

    async def _ask(self, draft: Draft, *, late: bool) -> None:
        run, bucket = draft.book.run, draft.at - draft.at % self.spec.interval
        if self.spec.decide is None or run.stopped or run.asked == bucket:
            return
        draft.run(asked=bucket)
        if late or self._is_away(draft):
            draft.skipped += 1
            return
        signal = await self._answer(draft, self.spec.decide, Signal)
        if signal is None:
            return
        try:
            signal = validate(signal, draft.price, self.spec.rules)
        except InvalidSignal as error:
            draft.tell(StrategyFailed, error=f"its signal was refused: {error}")
        else:
            draft.proposal = signal

    async def _answer(self, draft: Draft, function: Any, wanted: Any) -> Any:
        """Call the user's code with a context; on any failure tell so, and leave its state as it was."""
        context = self._context(draft)
        try:
            answer = await self._in_time(function, context)
            if answer is not None and not isinstance(answer, wanted):
                raise TypeError(f"it answered {answer!r}, which is no {getattr(wanted, '__name__', wanted)}")
            encode(context.state)  # what cannot be stored is refused here, before it becomes a commit
        except Hung as error:
            draft.tell(StrategyFailed, error=self._absence.begin(error.call, str(error), draft.at))
        except InvalidValue as error:
            draft.tell(StrategyFailed, error=f"its state cannot be stored: {in_words(error)}")
        except Exception as error:  # user code may raise anything; the event says what
            draft.tell(StrategyFailed, error=in_words(error))
        else:
            if context.state != draft.book.state:
                draft.state(deepcopy(context.state))  # whoever keeps the context keeps no hand in the book
            return answer
        return None

    async def _in_time(self, function: Any, context: Context) -> Any:
        try:
            answer = await self._call(function, context, limit=self.spec.timeout)
        except Hung:
            raise
        except Exception:
            self._absence.end()
            raise
        self._absence.end()
        return answer

    def _is_away(self, draft: Draft) -> bool:
        """Whether the strategy is left alone; a draft that takes a dropped one's place says again since when."""
        if said := self._absence.said(draft.at):
            draft.tell(StrategyFailed, error=said)
        return self._absence.lasts(draft.at)

    def _context(self, draft: Draft) -> Context:
        return Context(
            symbol=draft.origin.symbol,
            now=draft.at,
            price=draft.price,
            state=deepcopy(draft.book.state),
            signal=draft.book.row,
            candles=self.candles,
            history=self.spec.history,
            log=self._log,
        )
