"""A store that writes down what it is asked and what it answers, so that a broken promise can be shown."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from holdfast.store import (
    ABSENT,
    ANY,
    Append,
    Change,
    Check,
    CommitId,
    Delete,
    Event,
    Key,
    Names,
    Put,
    Record,
    Store,
)
from holdfast.store.wrappers.base import Wrapper

__all__ = ("History", "Recorded", "changed", "raised", "short")

KEPT: Final = 24
OVER: Final = object()
WIDTH: Final = 90

T = TypeVar("T")


class History:
    """The newest calls, a line each; `clear` where what comes next has nothing to do with them."""

    def __init__(self) -> None:
        self.unanswered: tuple[float, str] = (0.0, "")
        """The call that waited longest, in seconds, when it was given up."""
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._names = itertools.count(1)

    def clear(self) -> None:
        """Forget what there is."""
        self._lines.clear()

    def add(self, line: str) -> None:
        """Write a line down."""
        self._lines.append(line)

    def name(self) -> str:
        """Return a name for one more store object: "", "store 2: ", "store 3: "…"""
        number = next(self._names)
        return "" if number == 1 else f"store {number}: "

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, oldest first."""
        return tuple(self._lines)

    @contextmanager
    def waiting(self, asked: str) -> Iterator[None]:
        """Take the time of a block that waits for an answer, in case it is given up."""
        began = time.monotonic()
        try:
            yield
        except asyncio.CancelledError:
            self.unanswered = max(self.unanswered, (time.monotonic() - began, asked))
            raise

    async def noted(self, asked: str, answer: Awaitable[T], show: Callable[[T], str]) -> T:
        """Return the answer to what was asked, and write down both."""
        try:
            with self.waiting(asked):
                result = await answer
        except BaseException as error:
            self.add(f"{asked} -> {raised(error)}")
            raise
        self.add(f"{asked} -> {show(result)}")
        return result


class Recorded(Wrapper):
    """Passes everything on, and writes it down with its answer."""

    def __init__(self, inner: Store, history: History) -> None:
        super().__init__(inner)
        self._history = history
        self._name = history.name()

    async def open(self) -> None:
        """Open what is inside."""
        await self._noted("open", self.inner.open(), lambda _: "done")

    async def close(self) -> None:
        """Close what is inside."""
        await self._noted("close", self.inner.close(), lambda _: "done")

    async def _get(self, get: Any, keys: Sequence[Key]) -> list[Record | None]:
        return await self._noted(f"get {', '.join(map(_key, keys))}", get(*keys), _records)

    async def names(self) -> Names:
        """Return the entity names and the streams."""
        return await self._noted("names", self.inner.names(), repr)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event."""
        return await self._noted(f"last_number {short(stream)}", self.inner.last_number(stream), str)

    def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id."""
        found = self.inner.scan(entity_name, after=after, limit=limit)
        return self._yielded(f"scan {short(entity_name)} {_page(after, limit)}", found, _record)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first."""
        found = self.inner.read(stream, after=after, limit=limit)
        return self._yielded(
            f"read {short(stream)} {_page(after or None, limit)}",
            found,
            lambda one: f"{one.number} {short(one.value)}",
        )

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none."""
        asked = f"commit {'' if commit_id is None else f'{short(commit_id)} '}{changed(changes)}"
        return await self._noted(asked, self.inner.commit(changes, commit_id=commit_id, vital=vital), str)

    async def _noted(self, asked: str, answer: Awaitable[T], show: Any) -> T:
        return await self._history.noted(f"{self._name}{asked}", answer, show)

    async def _yielded(self, asked: str, found: AsyncIterator[T], show: Any) -> AsyncIterator[T]:
        seen: list[str] = []
        try:
            while True:
                with self._history.waiting(asked):
                    one = await anext(found, OVER)
                if one is OVER:
                    break
                seen.append(show(one))
                yield one  # type: ignore[misc]  # it is not OVER
        except Exception as error:
            seen.append(raised(error))
            raise
        finally:
            self._history.add(f"{self._name}{asked.strip()} -> {_listed(seen)}")


def changed(changes: Iterable[Change]) -> str:
    """Return the changes of a commit, for people."""
    return _listed([_change(one) for one in changes])


def short(value: Any) -> str:
    """Return a value for people, its middle left out where it is long."""
    text = value if isinstance(value, str) and value.isidentifier() else ascii(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH // 2]}…{text[-WIDTH // 3 :]}"


def _change(one: Change) -> str:
    match one:
        case Append(stream, event):
            return f"append {short(stream)} {short(event)}"
        case Put(key, value, expect):
            return f"put {_key(key)} = {short(value)}{_expecting(expect)}"
        case Delete(key, expect):
            return f"delete {_key(key)}{_expecting(expect)}"
        case Check(key, expect):
            return f"check {_key(key)}{_expecting(expect)}"


def _expecting(expect: Any) -> str:
    return "" if expect is ANY else " expecting absent" if expect is ABSENT else f" expecting {short(expect)}"


def _key(key: Key) -> str:
    return f"{short(key.entity_name)}/{short(key.entity_id)}"


def _record(record: Record | None) -> str:
    return "absent" if record is None else f"{short(record.value)} at {short(record.version)}"


def _records(records: Sequence[Record | None]) -> str:
    return _listed([_record(record) for record in records])


def _listed(parts: Sequence[str]) -> str:
    shown = parts if len(parts) <= 8 else [*parts[:4], f"({len(parts) - 6} more)", *parts[-2:]]
    return f"[{', '.join(shown)}]"


def raised(error: BaseException) -> str:
    """Return an exception for people."""
    return f"{type(error).__name__}{f': {short(str(error))}' if str(error) else ''}"


def _page(after: Any, limit: int | None) -> str:
    parts = [f"after {short(after)}"] if after is not None else []
    return " ".join([*parts, *([f"limit {limit}"] if limit is not None else [])])
