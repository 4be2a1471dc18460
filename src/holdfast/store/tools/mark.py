"""The mark of a namespace that nobody is to trade on: an unfinished copy, a copy, or one that has moved.

Of a portfolio and its copies at most one is without a mark, so that two bots are never started on two of them by
mistake. A live run refuses a namespace with a mark (`check_active`), and says what to do.
"""

from typing import Final, Literal

from msgspec import Struct

from holdfast.errors import NotActive
from holdfast.store.base import Key, Record, Store
from holdfast.store.codec import Schema

__all__ = ("MARK", "MARK_KEY", "Mark", "State", "check_active", "mark_of")

State = Literal["copying", "copy", "moved"]


class Mark(Struct, frozen=True, kw_only=True):
    """Why nobody is to trade here, and which other namespace (`url`, without its password) it is about.

    `copy` is the id of the copying, the same on both sides; `head` that of the source, `at` wall time (ms).
    """

    state: State
    url: str
    namespace: str
    copy: str
    head: int = 0
    at: int = 0


MARK: Final = Schema(Mark, "mark", 1)
MARK_KEY: Final = Key("holdfast.desk", "mark")
IMPORTED: Final = (
    "was imported from a file, and two must not trade on what is in it: where nobody trades on what it was exported "
    "from, `holdfast store activate` makes this one the portfolio"
)


def mark_of(record: Record | None) -> Mark | None:
    """Return the mark of a record, None where there is none; raises Corrupt, FromTheFuture."""
    return None if record is None else MARK.from_document(record.value)


def check_active(store: Store, record: Record | None) -> None:
    """Return where the record of MARK_KEY is absent; raises NotActive that says what to do otherwise."""
    mark = mark_of(record)
    if mark is None:
        return
    here, other = f"namespace {store.namespace!r} of {store.url}", f"{mark.url} ({mark.namespace})"
    imported = mark.url.partition(":")[0] == "export"
    said = {
        "copying": f"{here} is an unfinished copy of {other}: run the same `holdfast store copy` again, it goes on",
        "copy": f"{here} is a copy of {other}, and two must not trade: `holdfast store copy FROM TO --move` makes this "
        "one the portfolio; where the original is gone for good, `holdfast store activate` does",
        "moved": f"{here} has moved to {other}: start it there",
    }[mark.state]
    if imported:
        again = "is an unfinished import: run the same `holdfast store import` again, it goes on"
        said = f"{here} {again if mark.state == 'copying' else IMPORTED}"
    raise NotActive(said, state=mark.state, url=mark.url, namespace=mark.namespace)
