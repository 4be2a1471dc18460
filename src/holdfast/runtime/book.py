"""The book of a (strategy, symbol): everything about it that is stored, and what one step changes in it."""

from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from holdfast.trading.events import LIFECYCLE, Happening, Released, SymbolHalted
from holdfast.trading.inputs import Input, Origin
from holdfast.trading.lifecycle import step
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Signal, SignalRow

__all__ = ("Book", "Draft", "Run")


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a strategy has come on a symbol.

    `cursor` is the market time up to which candles have been stepped through, `asked` the start of the
    interval asked last; `history` and `system` count the events of the two streams; `stopped` keeps new signals
    away, `halted` says what a person must look at before anything more is sent.
    """

    cursor: int
    asked: int = -1
    history: int = 0
    system: int = 0
    stopped: bool = False
    halted: str = ""


class Book(Struct, frozen=True, kw_only=True):
    """What is committed: where the run is, the live signal, and the strategy's own state."""

    run: Run
    row: SignalRow | None = None
    state: dict[str, Any] = field(default_factory=dict)


class Draft(Struct, kw_only=True):
    """A step in the making: the book as it would be, and the events to append with it; nothing is committed yet.

    `wall` stamps system events (ms). `proposal` is a signal that the strategy wants and nobody has admitted yet,
    with the market at `price` at the market time `at`; `skipped` counts intervals that nobody could be asked in.
    """

    origin: Origin
    rules: Rules
    book: Book
    wall: int
    events: list[Happening] = field(default_factory=list)
    proposal: Signal | None = None
    price: float = 0.0
    at: int = 0
    skipped: int = 0

    def feed(self, given: Input) -> None:
        """Step the signal through one input, by the stepping function that backtest and live share."""
        done = step(self.book.row, given, self.rules)
        if done.row is not self.book.row:
            self.book = replace(self.book, row=done.row)
        for event in done.events:
            self.note(event)
        if done.halt:
            self.halt(done.halt)

    def note(self, event: Happening) -> None:
        """Append an event, numbered as the next of its stream."""
        run = self.book.run
        if isinstance(event, LIFECYCLE):
            run = replace(run, history=run.history + 1)
            self.events.append(replace(event, number=run.history))
        else:
            run = replace(run, system=run.system + 1)
            self.events.append(replace(event, number=run.system))
        self.book = replace(self.book, run=run)

    def tell(self, kind: type[Happening], **facts: Any) -> None:
        """Append a system event about this strategy and symbol."""
        signal = self.book.row.id if self.book.row else ""
        facts.update(symbol=self.origin.symbol, strategy=self.origin.strategy, signal_id=signal)
        self.note(kind(at=self.wall, **facts))

    def halt(self, reason: str) -> None:
        """Send nothing more for this symbol until a person has looked."""
        self.run(halted=reason)
        self.tell(SymbolHalted, reason=reason)

    def state(self, state: dict[str, Any]) -> None:
        """Take the strategy's state as it is after its call."""
        self.book = replace(self.book, state=state)

    def release(self, reason: str, signal_id: str, at: int) -> None:
        """Take the signal off the books, by a person's word, and lift the halt."""
        row = self.book.row
        exits = row.exits if row is not None else ()
        self.note(
            Released(
                symbol=self.origin.symbol,
                strategy=self.origin.strategy,
                at=at,
                signal_id=signal_id,
                reason=reason,
                entry_fills=row.entry.fills if row is not None else (),
                fills=tuple(fill for order in exits for fill in order.fills),
                orders=tuple(order.client_id for order in ((row.entry, *exits) if row is not None else ())),
            )
        )
        self.book = replace(self.book, row=None)
        self.run(halted="")

    def run(self, **changes: Any) -> None:
        """Change the run's own facts."""
        self.book = replace(self.book, run=replace(self.book.run, **changes))
