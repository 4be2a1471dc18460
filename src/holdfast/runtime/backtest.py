"""The backtest: the turns and the stepping function of a live run, over candles that have happened already.

Orders are filled at once by the fill model (`trading.fills`), the one that the paper broker and the simulated
exchange use; nothing is stored. A paced live run over the same candles makes the same trades.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from holdfast.errors import InvalidOption
from holdfast.market.candles import View
from holdfast.market.protocol import Market
from holdfast.market.series import Series
from holdfast.market.tape import Tape
from holdfast.runtime.admission import admit_all, settle_risk
from holdfast.runtime.book import Book, Draft, Run
from holdfast.runtime.calls import DirectCaller
from holdfast.runtime.result import BacktestResult, statistics, trades_of
from holdfast.runtime.spec import StrategySpec
from holdfast.runtime.turn import Turn
from holdfast.system import Clock, SystemClock
from holdfast.trading.candle import MINUTE, Candle
from holdfast.trading.events import LIFECYCLE, Happening, StrategyFailed
from holdfast.trading.fills import execute, rest
from holdfast.trading.inputs import Origin, Outcome
from holdfast.trading.order import Order, OrderState
from holdfast.trading.risk import Positions, RiskProfile
from holdfast.trading.signal import Intent, SignalRow

__all__ = ("Progress", "simulate")

Progress = Callable[[int, int], None]
REPORT_EVERY = 1_000


class _Seat:
    """One (strategy, symbol) of a backtest."""

    def __init__(self, spec: StrategySpec, origin: Origin, view: View, market: Market) -> None:
        self.spec = spec
        self.origin = origin
        self.view = view
        self.market = market
        self.turn = Turn(spec, view, DirectCaller())
        self.book = Book(run=Run(cursor=0))

    def idle(self, at: int) -> bool:
        """Whether nothing can happen at `at`: no signal, and nobody to ask."""
        run = self.book.run
        asked = self.spec.decide is None or run.asked == at - at % self.spec.interval
        return self.book.row is None and asked


async def simulate(
    wanted: Sequence[tuple[StrategySpec, str]],
    series: Mapping[str, Series],
    *,
    exchange: str,
    namespace: str = "default",
    profiles: Mapping[str, RiskProfile] | None = None,
    markets: Mapping[str, Market] | None = None,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> BacktestResult:
    """Run strategies over recorded one-minute candles from `start` to `end` (market time, ms).

    Earlier candles of the series are history that strategies can look back at. The symbols run minute by
    minute together, so that risk profiles see what they would see live.
    """
    tape = _tape({symbol: series[symbol] for _, symbol in wanted}, start, end)
    end = min(tape.end, end) if end is not None else tape.end
    seats = []
    for spec, symbol in sorted(wanted, key=lambda one: (one[1], one[0].name)):
        origin = Origin(namespace, spec.name, symbol, exchange, spec.risk)
        view = View(series[symbol], end=(tape.start - int(series[symbol].at[0])) // MINUTE)
        seats.append(_Seat(spec, origin, view, (markets or {}).get(symbol, Market(symbol=symbol))))
    clock = clock or SystemClock()
    risks = {name: Positions() for name in profiles or {}}
    events: list[Happening] = []
    total = max(end - tape.start, 0) // MINUTE
    for minute in range(total):
        await _minute(seats, tape.start + (minute + 1) * MINUTE, profiles or {}, risks, events)
        if minute % REPORT_EVERY == 0:
            await clock.sleep(0)  # for Ctrl-C, and whoever else shares the loop
            if progress is not None:
                progress(minute, total)
    if progress is not None:
        progress(total, total)
    return _result(tape.start, end, total, events, seats)


def _tape(series: Mapping[str, Series], start: int | None, end: int | None) -> Tape:
    """Return the market from `start`, or from its own beginning where that is later; some of it must be left."""
    whole = Tape(series)
    first, last = start or whole.start, whole.end if end is None else end
    if max(first, whole.start) >= min(last, whole.end):
        raise InvalidOption(
            f"there are no candles from {_moment(first)} to {_moment(last)}: they reach from {_moment(whole.start)} "
            f"to {_moment(whole.end)}",
            start=start,
            end=end,
        )
    return Tape(series, start=-(-max(first, whole.start) // MINUTE) * MINUTE)


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(" ", "minutes")


async def _minute(
    seats: Sequence[_Seat],
    at: int,
    profiles: Mapping[str, RiskProfile],
    risks: dict[str, Positions],
    events: list[Happening],
) -> None:
    drafts = []
    for seat in seats:
        candle = seat.view.advance()
        if not seat.idle(at):
            drafts.append((seat, await _drafted(seat, candle, at)))
    if not drafts:
        return
    _admit(drafts, profiles, risks)
    for seat, draft in drafts:
        _carry_out(seat, draft)
        _release(seat, draft, risks)
        seat.book = draft.book
        events.extend(draft.events)


async def _drafted(seat: _Seat, candle: Candle, at: int) -> Draft:
    draft = Draft(origin=seat.origin, rules=seat.spec.rules, book=seat.book, wall=at)
    await seat.turn.take(draft, candle, at, observed=list(_rested(seat, candle)))
    return draft


def _admit(
    drafts: Sequence[tuple[_Seat, Draft]], profiles: Mapping[str, RiskProfile], risks: dict[str, Positions]
) -> None:
    for seat, draft in drafts:
        _release(seat, draft, risks)
    admit_all([(draft, seat.market) for seat, draft in drafts], profiles, risks)


def _release(seat: _Seat, draft: Draft, risks: dict[str, Positions]) -> None:
    if seat.origin.risk is not None:
        # A signal may be decided and refused by its fill in one minute: its place goes back all the same.
        had = seat.book.row is not None or draft.proposal is None
        risks[seat.origin.risk] = settle_risk(draft, had, risks[seat.origin.risk])


# ---------------------------------------------------------------- what an exchange would do


def _rested(seat: _Seat, candle: Candle) -> Iterator[OrderState]:
    row = seat.book.row
    if row is not None and row.entry.status == "open":
        filled = rest(seat.spec.rules.fill_model, _entry_order(row), candle)
        if filled is not None:
            yield filled


def _entry_order(row: SignalRow) -> Order:
    entry = row.entry
    return Order(
        client_id=entry.client_id,
        symbol=entry.symbol,
        side=entry.side,
        type=entry.type,
        quantity=entry.quantity,
        price=entry.price,
        stop_loss=row.stop_loss,
    )


def _carry_out(seat: _Seat, draft: Draft) -> None:
    candle = seat.view.last
    while draft.book.row is not None and (intent := draft.book.row.intent) is not None:
        order = _effect(seat, draft.book.row, intent, candle, draft)
        draft.feed(Outcome(order=order, at=intent.at))


def _effect(seat: _Seat, row: SignalRow, intent: Intent, candle: Candle, draft: Draft) -> OrderState:
    if intent.order is not None:
        return execute(seat.spec.rules.fill_model, intent.order, candle, draft.price, intent.at)
    return replace(row.entry, status="cancelled")


def _result(
    start: int, end: int, candles: int, events: Sequence[Happening], seats: Sequence[_Seat]
) -> BacktestResult:
    trades = trades_of(events)
    return BacktestResult(
        start=start,
        end=end,
        candles=candles,
        events=tuple(event for event in events if isinstance(event, LIFECYCLE)),
        trades=trades,
        statistics=statistics(trades),
        open=tuple(seat.book.row for seat in seats if seat.book.row is not None),
        failures=tuple(event for event in events if isinstance(event, StrategyFailed)),
    )
