"""The shortest part of a history that no order explains: what is left where nothing more can be left out."""

from collections.abc import Iterable, Mapping, Sequence

from holdfast.testing.linear.history import Operation, Token, is_seen, parts, seen_in
from holdfast.testing.linear.searching import explained

__all__ = ("failing",)


def failing(
    history: Iterable[Operation], *, initial: Mapping[str, Token] | None = None
) -> list[Operation] | None:
    """Return None for a linearizable history, else a shortest part of it that no order explains.

    Nothing can be left out of that part: it is a proof by itself. Raises Undecided.
    """
    wrong = [part for part in parts(history) if not explained(part, initial or {})]
    return min((_shrunk(part, initial or {}) for part in wrong), key=len, default=None)


def _shrunk(operations: Sequence[Operation], initial: Mapping[str, Token]) -> list[Operation]:
    """Return a part of what cannot be explained that cannot be either, and of which nothing can be left out.

    A read, or a commit of which nothing is seen, is explained wherever the whole is: so it may be left out.
    """
    left = sorted(operations, key=lambda one: one.start)
    size = max(len(left) // 2, 1)
    while True:
        before = len(left)
        for at in range(len(left) - size, -size, -size):
            kept = _closed(left, left[max(at, 0) : at + size])
            if len(kept) < len(left) and not explained(kept, initial):
                left = kept
        if size == 1 and len(left) == before:
            return left
        size = max(size // 2, 1)


def _closed(operations: Sequence[Operation], without: Sequence[Operation]) -> list[Operation]:
    """Return the operations without those of `without`, but with all that somebody who stays has seen."""
    out = set(map(id, without))
    kept = [one for one in operations if id(one) not in out]
    while True:
        seen, shared = seen_in(kept), {one.id for one in kept if one.id}
        back = [
            one
            for one in operations
            if id(one) in out and one.writes and (is_seen(one, seen) or one.id in shared)
        ]
        if not back:
            return kept
        out -= set(map(id, back))
        kept = [one for one in operations if id(one) not in out]
