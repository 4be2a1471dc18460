"""A seat: one (strategy, symbol) that a live run has taken, with its book as committed and its candles."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from holdfast.errors import Corrupt
from holdfast.persist.schemas import SIGNAL
from holdfast.runtime.book import Book, Draft, Run
from holdfast.runtime.spec import StrategySpec
from holdfast.store import ABSENT, Key, Record
from holdfast.store.base import Expect
from holdfast.store.codec import Schema
from holdfast.trading.inputs import Origin
from holdfast.trading.signal import Intent, SignalRow

if TYPE_CHECKING:
    from holdfast.market.protocol import Market
    from holdfast.runtime.turn import Turn

__all__ = ("RUN", "Seat", "documents")

RUN = Schema(Run, "run", 1)


class Seat:
    """What a run holds of a (strategy, symbol). `book` is what is committed, never more.

    `unsent` names the intent that this process has committed and not yet begun to send: any other one may be at
    the exchange already.
    """

    turn: "Turn"
    market: "Market"

    def __init__(self, spec: StrategySpec, origin: Origin) -> None:
        self.spec = spec
        self.origin = origin
        self.book: Book | None = None
        self.expects: dict[Key, Expect] = {}
        self.unsent: tuple[str, str] | None = None

    @property
    def symbol(self) -> str:
        """The symbol it trades."""
        return self.origin.symbol

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.origin.strategy} on {self.origin.symbol}"

    @property
    def held(self) -> Book:
        """The committed book; a seat has one from the start of its run on."""
        if self.book is None:
            raise RuntimeError(f"{self.name} has not been loaded")
        return self.book

    @property
    def row(self) -> SignalRow | None:
        """The committed signal."""
        return self.held.row

    def record_keys(self) -> tuple[Key, ...]:
        """Return the keys of its four documents: run, signal, schedule, state."""
        owner = self.origin.strategy
        return tuple(
            Key(f"{domain}.{owner}", self.symbol) for domain in ("run", "signal", "schedule", "state")
        )

    def streams(self) -> tuple[str, str]:
        """Return the names of its history and its system stream."""
        tail = f"{self.origin.strategy}.{self.symbol}"
        return f"history.{tail}", f"system.{tail}"

    def claim(self, intent: Intent) -> bool:
        """Return whether an intent has certainly not been sent, and count it as sent from now on."""
        unsent, self.unsent = self.unsent, None
        return unsent == _name(intent)

    def begin(self, book: Book, *, history: int, system: int) -> None:
        """Start from a book whose events count on from those that its streams have."""
        self.book = replace(book, run=replace(book.run, history=history, system=system))

    def adopt(self, book: Book) -> None:
        """Become what this process has just committed."""
        known, new = (kept.row.intent if kept and kept.row else None for kept in (self.book, book))
        if new is not None and (known is None or _name(known) != _name(new)):
            self.unsent = _name(new)
        self.book = book

    def draft(self, wall: int) -> Draft:
        """Return a draft that starts from what is committed."""
        return Draft(origin=self.origin, rules=self.spec.rules, book=self.held, wall=wall)

    def take(self, records: list[Record | None]) -> bool:
        """Become what the store holds; return False where it holds no run of this seat yet."""
        keys, self.unsent = self.record_keys(), None
        self.expects = {key: ABSENT if r is None else r.version for key, r in zip(keys, records, strict=True)}
        run, signal, schedule, state = (record.value if record else None for record in records)
        rows = [SIGNAL.from_document(value) for value in (signal, schedule) if value is not None]
        if len(rows) > 1:
            raise Corrupt(
                f"{self.name} has a signal and a schedule at once",
                key=keys[1],
                reason="two signals",
                path=None,
            )
        if run is None and not rows:
            return False
        # A signal without its run (a user's adapter held it before) is taken up from where it was decided.
        known = Run(cursor=rows[0].decided_at) if run is None else RUN.from_document(run)
        self.book = Book(run=known, row=rows[0] if rows else None, state=state or {})
        return True


def _name(intent: Intent) -> tuple[str, str]:
    return intent.kind, intent.client_id


def documents(book: Book | None) -> list[Any]:
    """Return the four documents of a book, in the order of `Seat.record_keys`; None where one is empty."""
    if book is None:
        return [None, None, None, None]
    row = None if book.row is None else SIGNAL.to_document(book.row)
    scheduled = book.row is not None and book.row.status == "scheduled"
    return [
        RUN.to_document(book.run),
        None if scheduled else row,
        row if scheduled else None,
        book.state or None,
    ]
