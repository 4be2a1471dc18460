"""What several clients asked and were told: operations, which of them hang together, and which of them matter."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

__all__ = ("Operation", "Token", "is_seen", "parts", "seen_in", "that_matter")

Token = str | None
"""What a key holds, for the checker: something that is written once only (a commit's id), or None for absent."""


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


def parts(history: Iterable[Operation]) -> Iterator[list[Operation]]:
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


def that_matter(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Yield all but reads without an answer, and commits of unknown outcome that nobody has seen anything of.

    Leaving those out decides nothing: put where its values are overwritten at once, such a commit explains nothing.
    """
    seen = seen_in(operations)
    for one in operations:
        if one.end is not None or (one.writes and is_seen(one, seen)):
            yield one


def seen_in(operations: Iterable[Operation]) -> set[tuple[str, Token]]:
    """Return what somebody found a key to hold."""
    seen: set[tuple[str, Token]] = set()
    for one in operations:
        if one.end is not None or one.writes:
            seen.update(one.saw.items())
            seen.update(one.expects.items() if one.found is None else [one.found])
    return seen


def is_seen(one: Operation, seen: set[tuple[str, Token]]) -> bool:
    """Whether somebody has seen something that a commit puts."""
    return any(item in seen for item in one.puts.items())
