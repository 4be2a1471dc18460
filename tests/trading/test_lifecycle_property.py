"""No sequence of inputs reaches an impossible state, and no signal ends before its position does.

A market and an exchange that owe nothing to anybody: orders are filled in parts or not at all, refused, or lost;
what the exchange knows is told late, twice and out of order; candles jump; people ask for things at any time.
The exchange's own books say what is true.
"""

from fractions import Fraction
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from holdfast.trading import lifecycle
from holdfast.trading.candle import MINUTE
from holdfast.trading.events import Closing, from_document, to_document
from holdfast.trading.inputs import Decide, Input, Outcome, Tick
from holdfast.trading.lifecycle import effects, settle, watch
from holdfast.trading.order import Fill, Order, OrderState
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Intent, SignalRow
from tests.trading.builders import ORIGIN, T0, candle, long, request, short

PRICES = st.sampled_from([100.0, 99.0, 101.0, 98.0, 102.0, 95.0, 106.0, 110.0, 80.0, 120.0])
CANDLES = st.lists(st.sampled_from([100.0, 99.0, 101.0]), min_size=4, max_size=4)
WILD_CANDLES = st.lists(PRICES, min_size=4, max_size=4)
ENTRIES = st.none() | st.sampled_from([99.0, 101.0, 98.0, 102.0])
SELDOM = st.sampled_from([False] * 7 + [True])
TENTHS = st.integers(1, 9)
FOLLOWS = {
    "Decided": {"Scheduled", "Opening", "Rejected"},
    "Scheduled": {"Opened", "Cancelled", "Rejected"},
    "Opening": {"Opened", "Rejected"},
    "Opened": {"Closing"},
    "Closing": {"Closed"},
}
ENDS = {"Closed", "Cancelled", "Rejected"}


def exact(state: OrderState) -> Fraction:
    return sum((Fraction(repr(fill.quantity)) for fill in state.fills), Fraction(0))


class Signals(RuleBasedStateMachine):
    """Signals one after another; `books` is the exchange: every state that each order has had, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.row: SignalRow | None = None
        self.limits = Rules(scheduled_minutes=5)
        self.minute = 0
        self.books: dict[str, list[OrderState]] = {}
        self.sent: set[str] = set()
        self.known: dict[str, OrderState] = {}
        self.kinds: list[str] = []

    # ------------------------------------------------------------ stepping

    def give(self, given: Input) -> None:
        before = self.row
        # The row goes through a store between two steps, and the same step has the same result.
        stored = msgspec.json.decode(msgspec.json.encode(before), type=SignalRow | None)
        done = lifecycle.step(before, given, self.limits)
        assert lifecycle.step(stored, given, self.limits) == done
        self.row = done.row
        for event in done.events:
            document = msgspec.json.decode(msgspec.json.encode(to_document(event)))
            assert from_document(document, event.number) == event
            self._follow(type(event).__name__)
        self._remember(before)
        if not isinstance(given, (Decide, Tick)) and done.row is not None:
            again = lifecycle.step(done.row, given, self.limits)
            assert again == lifecycle.Step(done.row)

    def _follow(self, kind: str) -> None:
        last = self.kinds[-1] if self.kinds else "Closed"
        assert kind in FOLLOWS[last] if last in FOLLOWS else kind == "Decided"
        self.kinds.append(kind)

    def _remember(self, before: SignalRow | None) -> None:
        if self.row is None:
            if before is not None:
                self._over(before)
            return
        for order in (self.row.entry, *self.row.exits):
            was = self.known.get(order.client_id)
            assert was is None or not was.final or was.status == order.status
            assert was is None or {f.id for f in was.fills} <= {f.id for f in order.fills}
            assert was is None or exact(was) <= exact(order)
            self.known[order.client_id] = order

    def _over(self, row: SignalRow) -> None:
        assert self.kinds[-1] in ENDS
        ours = [self.books[o.client_id][-1] for o in (row.entry, *row.exits) if o.client_id in self.books]
        assert all(order.final for order in ours), "an order is left at the exchange"
        assert self._position(ours) == 0, "a position is left that nobody watches"

    @staticmethod
    def _position(orders: list[OrderState]) -> Fraction:
        return sum((exact(o) if o.side == "buy" else -exact(o) for o in orders), Fraction(0))

    # ------------------------------------------------------------ what may happen

    @precondition(lambda self: self.row is None)
    @rule(
        price=st.none() | PRICES,
        is_long=st.booleans(),
        tenths=TENTHS,
        refused=st.booleans(),
        vwap=st.booleans(),
    )
    def decides(self, price: float | None, is_long: bool, tenths: int, refused: bool, vwap: bool) -> None:
        self.minute += 1
        self.limits = replace(self.limits, fill_model="vwap" if vwap else "touch")
        given = Decide(
            origin=ORIGIN,
            signal=(long if is_long else short)(entry_price=price, time_limit=7),
            at=T0 + self.minute * MINUTE,
            price=100.0,
            quantity=tenths / 10,
        )
        self.give(given)
        assert self.row is not None

    @precondition(lambda self: self.row is not None)
    @rule(prices=CANDLES | WILD_CANDLES, skip=st.integers(0, 3), late=SELDOM)
    def candle_closes(self, prices: list[float], skip: int, late: bool) -> None:
        self.minute += 1 + skip
        given = candle(self.minute - 1, prices[0], max(prices), min(prices), prices[1])
        before = self.row
        self.give(Tick(candle=given, at=given.at + MINUTE, price=prices[1], late=late))
        if before is not None and before.intent is not None:
            assert self.row == before

    @precondition(lambda self: self.row is not None)
    @rule(kind=st.sampled_from(["close", "cancel"]), at_all=SELDOM)
    def somebody_asks(self, kind: str, at_all: bool) -> None:
        if at_all:
            self.give(request(kind, at=self.now))

    @precondition(lambda self: self.row is not None and self.row.intent is not None)
    @rule(data=st.data())
    def effect_is_carried_out(self, data: st.DataObject) -> None:
        assert self.row is not None
        assert self.row.intent is not None
        intent = self.row.intent
        if intent.order is None:
            self._change(intent.client_id, "cancelled")
        elif intent.client_id not in self.sent:
            self.sent.add(intent.client_id)
            self._accept(intent.order, "rejected" if data.draw(SELDOM) else "open")

    @precondition(lambda self: any(not book[-1].final for book in self.books.values()))
    @rule(data=st.data(), tenths=st.integers(0, 9), status=st.sampled_from(["open", "filled", "cancelled"]))
    def exchange_moves(self, data: st.DataObject, tenths: int, status: Any) -> None:
        client_id = data.draw(st.sampled_from([i for i, book in self.books.items() if not book[-1].final]))
        self._change(client_id, status, tenths)

    @precondition(lambda self: self.row is not None)
    @rule()
    def the_newest_is_told(self) -> None:
        for order in (self.row.entry, *self.row.exits) if self.row else ():
            if order.client_id in self.books:
                self.give(Outcome(order=self.books[order.client_id][-1], at=self.now))

    @precondition(lambda self: bool(self.books))
    @rule(data=st.data())
    def something_is_told(self, data: st.DataObject) -> None:
        book = self.books[data.draw(st.sampled_from(list(self.books)))]
        self.give(Outcome(order=data.draw(st.sampled_from(book)), at=self.now))

    # ------------------------------------------------------------ the exchange

    @property
    def now(self) -> int:
        return T0 + self.minute * MINUTE

    def _accept(self, order: Order, status: Any) -> None:
        reduces = self._position([book[-1] for book in self.books.values()])
        room = -reduces if order.side == "buy" else reduces
        if order.reduce_only and room < Fraction(repr(order.quantity)):
            raise AssertionError("an exit for more than the exchange says is held")
        self.books[order.client_id] = [replace(OrderState.of(order), status=status)]

    def _change(self, client_id: str, status: Any, tenths: int = 0) -> None:
        book = self.books[client_id]
        known = book[-1]
        if known.final:
            return
        left = Fraction(repr(known.quantity)) - exact(known)
        part = left if status == "filled" else left * Fraction(tenths, 10)
        fills = known.fills
        if part:
            number = len(fills) + 1
            fills = (
                *fills,
                Fill(id=f"{client_id}-{number}", price=99.0 + number, quantity=float(part), at=self.now),
            )
        book.append(replace(known, status=status, fills=fills))

    # ------------------------------------------------------------ what must hold

    @invariant()
    def row_is_possible(self) -> None:
        row = self.row
        if row is None:
            return
        orders = [row.entry, *row.exits]
        unanswered = [order.client_id for order in orders if order.status == "new"]
        assert len(unanswered) <= 1
        if unanswered:
            assert row.intent is not None
            assert row.intent.client_id == unanswered[0]
        if row.intent is not None:
            self._intent_is_possible(row, row.intent)
        assert len({order.client_id for order in orders}) == len(orders) == row.steps
        getattr(self, f"_{row.status}")(row)

    def _intent_is_possible(self, row: SignalRow, intent: Intent) -> None:
        orders = {order.client_id: order for order in (row.entry, *row.exits)}
        assert not orders[intent.client_id].final
        assert (intent.kind == "submit") is (intent.order is not None)
        if intent.kind == "cancel":
            assert intent.client_id == row.entry.client_id
            assert row.entry.type == "limit"

    def _scheduled(self, row: SignalRow) -> None:
        assert row.entry.type == "limit"
        assert not row.entry.fills
        assert not row.exits
        assert row.intent is not None or row.entry.status == "open"

    def _opening(self, row: SignalRow) -> None:
        assert row.entry.type == "market"
        assert not row.entry.fills
        assert not row.exits
        assert row.intent is not None

    def _open(self, row: SignalRow) -> None:
        assert row.held > 0
        assert row.opened_at is not None
        assert row.watch_from is not None
        assert not row.exits
        assert row.intent is not None or row.close_reason is None
        assert row.intent is not None or row.entry.final or row.entry.type == "limit"

    def _closing(self, row: SignalRow) -> None:
        assert row.close_reason is not None
        assert row.held > 0
        assert row.entry.final or not row.exits
        assert all(order.final for order in row.exits[:-1])
        assert row.intent is not None or (row.entry.final and row.exits[-1].final)

    @invariant()
    def ids_never_repeat(self) -> None:
        assert len(self.sent) == len(self.books)

    def teardown(self) -> None:
        """However things stand: asked to close, with an exchange that answers, the signal ends flat."""
        for _ in range(20):
            if self.row is None:
                return
            self.give(request(at=self.now))
            self._answer_honestly()
            self.minute += 1
        raise AssertionError(f"the signal does not end: {self.row}")

    def _answer_honestly(self) -> None:
        if self.row is not None and self.row.intent is not None:
            intent = self.row.intent
            if intent.order is not None and intent.client_id not in self.sent:
                self.sent.add(intent.client_id)
                self._accept(intent.order, "open")
            if intent.order is not None and intent.order.type == "market":
                self._change(intent.client_id, "filled")
            elif intent.order is None:
                self._change(intent.client_id, "cancelled")
        self.the_newest_is_told()


TestSignals = Signals.TestCase
TestSignals.settings = hypothesis.settings(max_examples=300, stateful_step_count=50)


# ---------------------------------------------------------------- the net catches what it is there to catch


def takes_the_last_word(known: OrderState, told: OrderState) -> OrderState:
    return replace(known, status=told.status, fills=told.fills)


def exits_at_once(row: SignalRow, at: int, reason: Any, level: Any, *, late: bool = False) -> lifecycle.Step:
    closing = replace(row, status="closing", close_reason=reason)
    event = effects.about(row, Closing, at, reason=reason, quantity=row.held)
    return lifecycle.Step(effects.exit_again(closing, at).row, (event,))


def believes_every_answer(row: SignalRow, order: OrderState) -> bool:
    return row.intent is not None and row.intent.client_id == order.client_id


@pytest.mark.parametrize(
    ("modules", "name", "mutant"),
    [
        ([settle], "_joined", takes_the_last_word),
        ([settle], "_answers", believes_every_answer),
        ([settle], "FLAT", 0.2),
        ([settle], "_opened", lambda row, at: lifecycle.Step(None)),
        ([effects, watch], "close", exits_at_once),
        ([effects, settle], "act", lambda row, at: lifecycle.Step(row)),
    ],
)
def test_a_lifecycle_with_a_fault_is_caught(
    monkeypatch: pytest.MonkeyPatch, modules: Any, name: str, mutant: Any
) -> None:
    for module in modules:
        monkeypatch.setattr(module, name, mutant)
    quick = hypothesis.settings(
        max_examples=2000,
        stateful_step_count=50,
        phases=[hypothesis.Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    # Whichever invariant is the first to break; the faults make nonsense of the step itself, too.
    with pytest.raises((AssertionError, AttributeError, ValueError, ZeroDivisionError, KeyError)):
        run_state_machine_as_test(Signals, settings=quick)
