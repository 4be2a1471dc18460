"""The mark of a namespace that nobody is to trade on: an unfinished copy, a copy, or one that has moved.

Of a portfolio and its copies at most one is without a mark, so that two bots are never started on two of them by
mistake. A live run refuses a namespace with a mark (`check_active`), and says what to do.
"""

from typing import Final, Literal

from msgspec import Struct

from holdfast.errors import NotActive, Unsupported
from holdfast.store.base import Delete, Key, Record, Store
from holdfast.store.codec import Schema

__all__ = ("MARK", "MARK_KEY", "Mark", "State", "activate", "check_active", "mark_of")

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


def mark_of(record: Record | None) -> Mark | None:
    """Return the mark of a record, None where there is none; raises Corrupt, FromTheFuture."""
    return None if record is None else MARK.from_document(record.value)


def check_active(store: Store, record: Record | None) -> None:
    """Return where the record of MARK_KEY is absent; raises NotActive that says what to do otherwise."""
    mark = mark_of(record)
    if mark is None:
        return
    here, other = f"namespace {store.namespace!r} of {store.url}", f"{mark.url} ({mark.namespace})"
    said = {
        "copying": f"{here} is an unfinished copy of {other}: run the same `holdfast store copy` again, it goes on",
        "copy": f"{here} is a copy of {other}, and two must not trade: `holdfast store copy FROM TO --move` makes this "
        "one the portfolio; where the original is gone for good, `holdfast store activate` does",
        "moved": f"{here} has moved to {other}: start it there",
    }[mark.state]
    raise NotActive(said, state=mark.state, url=mark.url, namespace=mark.namespace)


async def activate(store: Store) -> Mark | None:
    """Take the mark off an open store and return it, None where there was none: from now on it can be traded on.

    Whoever does this knows that nobody trades the other one. Raises Unsupported for an unfinished copy.
    """
    [record] = await store.fresh(MARK_KEY)
    mark = mark_of(record)
    if mark is None or record is None:
        return None
    if mark.state == "copying":
        raise Unsupported(
            f"{store.url} is an unfinished copy of {mark.url}: finish it first, by the same command again",
            url=mark.url,
        )
    await store.commit([Delete(MARK_KEY, record.version)])
    return mark
