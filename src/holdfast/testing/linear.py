"""Whether what several clients were told can be explained by one order of whole steps: linearizability.

    wrong = failing(history)          # None: there is such an order
    if wrong:
        print(told(wrong))            # the shortest part of the history that has none

A history is what each client asked and was told, and when, on one monotonic clock (that of one machine, in however
many processes). A commit is one operation whatever number of keys it changes, and so is a read of several keys.
A commit whose outcome is unknown may have happened at any time after it was asked for, or never.

The search is Wing and Gong's, with Lowe's memo. Keys that no operation has in common are judged apart, which is
exact. Its cost grows with how much happens at once: meant for up to `MOST_CLIENTS` clients, `MOST_OPERATIONS`
operations on keys that hang together, and a few unknown outcomes. Where it gives up it raises `Undecided`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, Final

from msgspec import Struct

from holdfast.errors import HoldfastError

__all__ = ("MOST_CLIENTS", "MOST_OPERATIONS", "Operation", "Undecided", "failing", "linearizable", "told")

MOST_CLIENTS: Final = 8
MOST_OPERATIONS: Final = 500
BUDGET: Final = 1_000_000
UNKNOWN: Final = 8
"""Outcomes that are unknown and make a difference, at most: each may double the work."""

Token = str | None
"""What a key holds, for the checker: something that is written once only (a commit's id), or None for absent."""


class Undecided(HoldfastError):
    """A history is too long, or too much of it happened at once, to be judged."""


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one client asked between `start` and `end` (None: it was never told what became of it).

    A read has `saw`, what each key held. A commit has `puts` (None deletes) and `expects` (None: absent), perhaps an
    `id` under which it may be tried several times, and where it was refused `found`: the key and what it held.
    """

    client: str
    start: float
    end: float | None = None
    saw: dict[str, Token] = {}
    puts: dict[str, Token] = {}
    expects: dict[str, Token] = {}
    found: tuple[str, Token] | None = None
    id: str = ""

    @property
    def keys(self) -> set[str]:
        """Every key that it has to do with."""
        return {*self.saw, *self.puts, *self.expects}

    @property
    def writes(self) -> bool:
        """Whether it may have changed something."""
        return bool(self.puts) and self.found is None


def linearizable(history: Iterable[Operation], *, initial: Mapping[str, Token] | None = None) -> bool:
    """Return whether some order of the operations explains every answer; raises Undecided where that is too much."""
    return all(_explained(part, initial or {}) for part in _parts(history))


def failing(
    history: Iterable[Operation], *, initial: Mapping[str, Token] | None = None
) -> list[Operation] | None:
    """Return None for a linearizable history, else a shortest part of it that no order explains.

    Nothing can be left out of that part: it is a proof by itself. Raises Undecided.
    """
    wrong = [part for part in _parts(history) if not _explained(part, initial or {})]
    return min((_shrunk(part, initial or {}) for part in wrong), key=len, default=None)


def told(history: Iterable[Operation]) -> str:
    """Return a history for people, a line an operation, times in milliseconds since its first."""
    ordered = sorted(history, key=lambda one: one.start)
    zero = ordered[0].start if ordered else 0.0
    return "\n".join(_line(one, zero) for one in ordered)


# ------------------------------------------------------------------------------------------ the search


def _explained(operations: Sequence[Operation], initial: Mapping[str, Token]) -> bool:
    """Return whether operations on keys that hang together can be put in order."""
    ops = sorted(_that_matter(operations), key=lambda one: one.start)
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


# ------------------------------------------------------------------------------------------ which operations


def _parts(history: Iterable[Operation]) -> Iterator[list[Operation]]:
    """Yield the operations in groups that have no key in common."""
    groups: list[tuple[set[str], list[Operation]]] = []
    for one in history:
        joined, members = set(one.keys), [one]
        for group in [group for group in groups if group[0] & joined]:
            joined |= group[0]
            members += group[1]
            groups.remove(group)
        groups.append((joined, members))
    yield from (members for _, members in groups)


def _that_matter(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Yield all but reads without an answer, and commits of unknown outcome that nobody has seen anything of.

    Leaving those out decides nothing: put where its values are overwritten at once, such a commit explains nothing.
    """
    seen = _seen(operations)
    for one in operations:
        if one.end is not None or (one.writes and _is_seen(one, seen)):
            yield one


def _seen(operations: Iterable[Operation]) -> set[tuple[str, Token]]:
    """Return what somebody found a key to hold."""
    seen: set[tuple[str, Token]] = set()
    for one in operations:
        if one.end is not None or one.writes:
            seen.update(one.saw.items())
            seen.update(one.expects.items() if one.found is None else [one.found])
    return seen


def _is_seen(one: Operation, seen: set[tuple[str, Token]]) -> bool:
    return any(item in seen for item in one.puts.items())


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
            if len(kept) < len(left) and not _explained(kept, initial):
                left = kept
        if size == 1 and len(left) == before:
            return left
        size = max(size // 2, 1)


def _closed(operations: Sequence[Operation], without: Sequence[Operation]) -> list[Operation]:
    """Return the operations without those of `without`, but with all that somebody who stays has seen."""
    out = set(map(id, without))
    kept = [one for one in operations if id(one) not in out]
    while True:
        seen, shared = _seen(kept), {one.id for one in kept if one.id}
        back = [
            one
            for one in operations
            if id(one) in out and one.writes and (_is_seen(one, seen) or one.id in shared)
        ]
        if not back:
            return kept
        out -= set(map(id, back))
        kept = [one for one in operations if id(one) not in out]


# ------------------------------------------------------------------------------------------ for people


def _line(one: Operation, zero: float) -> str:
    ended = "  never" if one.end is None else f"{(one.end - zero) * 1000:7.2f}"
    return f"{(one.start - zero) * 1000:8.2f} to {ended} ms  {one.client:<8} {_asked(one)}: {_answer(one)}"


def _asked(one: Operation) -> str:
    if not one.puts and not one.expects:
        return f"get {', '.join(one.saw)}"
    parts = [_put(key, token, one.expects) for key, token in one.puts.items()]
    parts += [f"check {key} is {_held(held)}" for key, held in one.expects.items() if key not in one.puts]
    return f"commit {one.id + ' ' if one.id else ''}{', '.join(parts)}"


def _put(key: str, token: Token, expects: Mapping[str, Token]) -> str:
    did = f"delete {key}" if token is None else f"put {key} = {token}"
    return f"{did} expecting {_held(expects[key])}" if key in expects else did


def _answer(one: Operation) -> str:
    if one.end is None:
        return "unknown"
    if one.found is not None:
        return f"refused, {one.found[0]} is {_held(one.found[1])}"
    if one.saw:
        return ", ".join(_held(held) for held in one.saw.values())
    return "done"


def _held(token: Any) -> str:
    return "absent" if token is None else str(token)
