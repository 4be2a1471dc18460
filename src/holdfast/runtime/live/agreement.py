"""Whether a seat's documents and its history tell the same story.

They are changed by the same commits, so they do, unless somebody changed or lost a part of the state: a file was
put back from a backup, or repaired away. Then "no signal" may be a forgotten position, and nobody trades on it.
"""

from contextlib import suppress

import msgspec

from holdfast.errors import Corrupt
from holdfast.runtime.book import Book, Draft, Run
from holdfast.runtime.live.seat import Seat
from holdfast.store import Store
from holdfast.trading.events import Cancelled, Closed, Happening, Rejected, Released, from_document

__all__ = ("compare", "doubtful", "release")

OVER = (Cancelled, Closed, Rejected, Released)


async def _newest(store: Store, seat: Seat) -> Happening | None:
    """Return the newest event of a seat's history, None where it has none."""
    stream, _ = seat.streams()
    last = await store.last_number(stream)
    found = [from_document(event.value, event.number) async for event in store.read(stream, after=last - 1)]
    return found[-1] if last else None


async def compare(store: Store, seat: Seat, now: int) -> str:
    """Give a seat a book whose events count on from its streams; return how its parts disagree, "" if they do not.

    A seat without a run begins at `now`, in market time.
    """
    history, system = [await store.last_number(stream) for stream in seat.streams()]
    book = seat.book or Book(run=Run(cursor=now))
    known = (book.run.history, book.run.system)
    if known == (history, system):
        doubt = await _last_word(store, seat)
    elif known == (0, 0):
        doubt = f"its run is gone, while its history has {history} events"
    else:
        doubt = (
            f"its run counts {known[0]} and {known[1]} events, and its streams have {history} and {system}"
        )
    seat.begin(book, history=history, system=system)
    return doubt


def doubtful(doubt: str) -> str:
    """Return the reason of a halt, and what a person can do about it."""
    return f"{doubt}. Check at the exchange what is held, then release the symbol"


async def release(store: Store, seat: Seat, draft: Draft) -> None:
    """Take a halted seat's signal off the books, the one that only its history speaks of too."""
    signal = "" if seat.row is None else seat.row.id
    with suppress(msgspec.ValidationError, Corrupt):  # then no signal is known, and the history says so
        last = None if signal else await _newest(store, seat)
        signal = last.signal_id if last is not None else signal
    draft.release(draft.book.run.halted, signal, draft.book.run.cursor)


async def _last_word(store: Store, seat: Seat) -> str:
    """Return how the newest event and the signal disagree; one that was lost agrees with nothing."""
    try:
        return _contradiction(seat, await _newest(store, seat))
    except (msgspec.ValidationError, Corrupt) as error:
        return f"the newest event of its history cannot be read ({error})"


def _contradiction(seat: Seat, last: Happening | None) -> str:
    row = seat.row if seat.book is not None else None
    alive = last is not None and not isinstance(last, OVER)
    if row is None:
        named = f"signal {last.signal_id} was {type(last).__name__.lower()} last" if last is not None else ""
        return f"its history says that {named}, and there is no such signal" if alive else ""
    if last is None:  # a row that a user's adapter held before Holdfast did
        return ""
    if alive and last.signal_id == row.id:
        return ""
    return f"it holds signal {row.id}, and its history ends with {type(last).__name__} of {last.signal_id}"
