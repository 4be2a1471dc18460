"""The search for an order of whole operations that explains every answer.

It is Wing and Gong's, with Lowe's memo. Keys that no operation has in common are judged apart, which is exact.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.testing.linear.history import Operation, Token, parts, that_matter

__all__ = ("MOST_CLIENTS", "MOST_OPERATIONS", "Undecided", "explained", "linearizable")

MOST_CLIENTS: Final = 8
MOST_OPERATIONS: Final = 500
BUDGET: Final = 1_000_000
UNKNOWN: Final = 8
"""Outcomes that are unknown and make a difference, at most: each may double the work."""


class Undecided(HoldfastError):
    """A history is too long, or too much of it happened at once, to be judged."""


def linearizable(history: Iterable[Operation], *, initial: Mapping[str, Token] | None = None) -> bool:
    """Return whether some order of the operations explains every answer; raises Undecided where that is too much."""
    return all(explained(part, initial or {}) for part in parts(history))


def explained(operations: Sequence[Operation], initial: Mapping[str, Token]) -> bool:
    """Return whether operations on keys that hang together can be put in order."""
    ops = sorted(that_matter(operations), key=lambda one: one.start)
    search = _Search(ops, initial)
    if len(ops) > MOST_OPERATIONS or search.unknown > UNKNOWN:
        raise Undecided(
            f"{len(ops)} operations, {search.unknown} of them unknown, are more than {MOST_OPERATIONS} and {UNKNOWN}"
        )
    return search.run()


class _Search:
    """Looks for an order; states are what has been done (bits), what each key holds, which shared ids have happened."""

    def __init__(self, ops: Sequence[Operation], initial: Mapping[str, Token]) -> None:
        self._ops = ops
        self._ends = [inf if one.end is None else one.end for one in ops]
        self._must = sum(1 << i for i, one in enumerate(ops) if one.end is not None)
        ids = Counter(one.id for one in ops if one.id and one.puts)
        self._shared = frozenset(name for name, count in ids.items() if count > 1)
        keys = sorted({key for one in ops for key in one.keys})
        self._at = {key: i for i, key in enumerate(keys)}
        self._first = tuple(initial.get(key) for key in keys)
        self.unknown = sum(one.end is None for one in ops)

    def run(self) -> bool:
        """Return whether there is an order; raises Undecided where too many would have to be tried."""
        stack = [(0, self._first, frozenset[str]())]
        seen = set(stack)
        while stack:
            done, state, happened = stack.pop()
            done = self._looked(done, state, happened)
            if done & self._must == self._must:
                return True
            # The one that ended first is tried first: it is popped last in, first out.
            for i in sorted(self._next(done), key=self._ends.__getitem__, reverse=True):
                after = self._written(self._ops[i], state, happened)
                if after is not None and (found := (done | 1 << i, *after)) not in seen:
                    seen.add(found)
                    stack.append(found)
            if len(seen) > BUDGET:
                raise Undecided(f"more than {BUDGET} states would have to be looked at")
        return False

    def _next(self, done: int) -> list[int]:
        """Return the operations that may come next: none that is still to come had ended before they began."""
        found, limit = [], inf
        for i in range((~done & (done + 1)).bit_length() - 1, len(self._ops)):
            if self._ops[i].start > limit:
                break
            if not done >> i & 1:
                found.append(i)
                limit = min(limit, self._ends[i])
        return [i for i in found if self._ops[i].start <= limit]

    def _looked(self, done: int, state: tuple[Token, ...], happened: frozenset[str]) -> int:
        """Return what has been done once all that changes nothing and is true now has been, too.

        Such an operation is never better left for later: nothing depends on it.
        """
        while True:
            more = sum(1 << i for i in self._next(done) if self._idle(self._ops[i], state, happened))
            if not more:
                return done
            done |= more

    def _idle(self, one: Operation, state: tuple[Token, ...], happened: frozenset[str]) -> bool:
        if one.found is not None:
            key, held = one.found
            there = key in one.expects and state[self._at[key]] == held
            return there and held != one.expects[key] and one.id not in happened
        if one.puts:
            return one.id in happened  # it was tried before, and changes nothing now
        return all(state[self._at[key]] == held for key, held in (one.saw or one.expects).items())

    def _written(
        self, one: Operation, state: tuple[Token, ...], happened: frozenset[str]
    ) -> tuple[tuple[Token, ...], frozenset[str]] | None:
        """Return what is there after a commit that changes something; None where it cannot be next."""
        if not one.writes or one.id in happened:
            return None
        if any(state[self._at[key]] != held for key, held in one.expects.items()):
            return None
        after = list(state)
        for key, token in one.puts.items():
            after[self._at[key]] = token
        return tuple(after), happened | {one.id} if one.id in self._shared else happened
