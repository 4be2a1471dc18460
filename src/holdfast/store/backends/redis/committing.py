"""Batches of commits, each written by one script, and made as durable as the URL asks for.

A batch that has taken effect and is not known to be on enough replicas is *unknown*, never a success.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

from msgspec import Struct

from holdfast.errors import (
    Corrupt,
    HoldfastError,
    InvalidOption,
    InvalidValue,
    StoreFull,
    Unavailable,
    Unsupported,
)
from holdfast.store.backends import network
from holdfast.store.backends.redis.errors import shaped
from holdfast.store.backends.redis.layout import written
from holdfast.store.backends.redis.scripts import COMMIT, Call
from holdfast.store.backends.redis.session import Session
from holdfast.store.base import ANY, Key
from holdfast.store.changes import Removed, conflict
from holdfast.store.group import Outcome, Request
from holdfast.store.url import StoreUrl
from holdfast.system import Clock

__all__ = ("Committing", "Waits")

MOST_BYTES: Final = 4 * 2**20
"""A script carries commits of this many bytes together, so that it holds up the server for milliseconds only."""

LARGEST: Final = 64 * 2**20
"""A single commit may be this large."""

PLAIN, WAITING, VITAL = "0", "1", "2"


class Waits(Struct, frozen=True):
    """What a commit waits for after its script: so many replicas, and the disks of so many of them."""

    replicas: int = 0
    disks: int = 0

    OPTIONS: ClassVar = ("wait_replicas", "wait_aof")

    @classmethod
    def of(cls, url: StoreUrl) -> Self:
        """Return what the URL asks for."""
        found = [network.number(url, name, 0) for name in cls.OPTIONS]
        if any(number != int(number) for number in found):
            raise InvalidOption(f"{url.text!r}: wait_replicas and wait_aof are whole numbers")
        return cls(*map(int, found))

    def commands(self, milliseconds: int) -> tuple[tuple[str | int, ...], ...]:
        """Return the commands that wait."""
        plain = (("WAIT", self.replicas, milliseconds),) if self.replicas else ()
        return (*plain, ("WAITAOF", 1, self.disks, milliseconds)) if self.disks else plain

    def short(self, answers: Sequence[object]) -> str | None:
        """Say which count fell short; None where all were reached."""
        left = list(answers)
        if self.replicas:
            count = left.pop(0)
            if not isinstance(count, int) or count < self.replicas:
                return f"{count} of {self.replicas} replicas have it"
        if self.disks:
            counts = left.pop(0)
            if (
                not isinstance(counts, list)
                or [*map(type, counts)] != [int, int]
                or not self._flushed(*counts)
            ):
                return f"{counts} (own disk, replicas' disks) of (1, {self.disks}) have it"
        return None

    def _flushed(self, own: int, others: int) -> bool:
        return own >= 1 and others >= self.disks


class Committing:
    """Writes batches of commits over a session."""

    def __init__(self, session: Session, waits: Waits, timeouts: network.Timeouts, clock: Clock) -> None:
        self._session = session
        self._waits = waits
        self._timeouts = timeouts
        self._clock = clock

    def check(self) -> None:
        """Refuse to wait for what the server does not know; raises Unsupported."""
        found = self._session.findings
        if self._waits.disks and found is not None and found.version < (7, 2):
            message = f"{self._session.where}: ?wait_aof needs Redis 7.2, this is {found.version[0]}.{found.version[1]}"
            raise Unsupported(f"{message}; use ?wait_replicas=, or upgrade it", needed="7.2")

    def admit(self, request: Request) -> None:
        """Refuse a commit that is too large for one script; raises InvalidValue."""
        if (size := _size(request)) > LARGEST:
            message = f"the commit has {size} bytes; {LARGEST} are the most that Redis is given at once"
            raise InvalidValue(message, path="$", reason="too large")

    async def write(self, batch: Sequence[Request]) -> list[Outcome]:
        """Return what became of each commit: None, or what to raise."""
        outcomes: list[Outcome] = []
        for part in _parts(batch):
            try:
                outcomes += await self._part(part)
            except StoreFull as error:
                outcomes += await self._only_vital(part, error)
            except HoldfastError as error:
                outcomes += [_copy(error) for _ in part]
        return outcomes

    async def _only_vital(self, part: Sequence[Request], error: StoreFull) -> list[Outcome]:
        """The server's memory is full: let those through that get a position closed or recorded."""
        vital = [request for request in part if request.vital]
        if not vital:
            return [_copy(error) for _ in part]
        try:
            through = iter(await self._part(vital, mode=VITAL))
        except HoldfastError as worse:
            through = iter([_copy(worse) for _ in vital])
        return [next(through) if request.vital else _copy(error) for request in part]

    async def _part(self, part: Sequence[Request], *, mode: str = PLAIN) -> list[Outcome]:
        deadline = self._clock.monotonic() + self._timeouts.commit
        waits = self._waits.commands(max(1, int(self._timeouts.commit * 800)))
        keys, payload = written(part, self._session.layout)
        arguments = (*self._session.binding.known, payload, WAITING if waits and mode == PLAIN else mode)
        answers = await self._session.write(Call(COMMIT, keys, arguments, waits), deadline=deadline)
        answer, *counts = answers
        head, outcomes = self._outcomes(part, answer)
        if waits and (short := self._short(counts)):
            return [_copy(short) if outcome is None else outcome for outcome in outcomes]
        acknowledged = [r for r, o in zip(part, outcomes, strict=True) if o is None]
        if acknowledged:
            now = self._clock.monotonic()
            self._session.lineage.acknowledged(acknowledged[-1].commit_id, head, now)
        return outcomes

    def _outcomes(self, part: Sequence[Request], answer: Any) -> tuple[int, list[Outcome]]:
        """Return the head and what became of each commit; what cannot be made out may have happened."""
        try:
            head, joined = shaped(answer, COMMIT.answers, self._session.where)
        except Corrupt as error:
            return 0, [self._unclear(answer, error) for _ in part]
        texts = joined.split(b"\0")
        if len(texts) != len(part):
            return 0, [self._unclear(answer) for _ in part]
        return head, [self._outcome(request, text) for request, text in zip(part, texts, strict=True)]

    def _outcome(self, request: Request, text: bytes) -> Outcome:
        if text in (b"+", b"="):
            return None
        told = re.fullmatch(rb"!([0-9]{1,9}):(.*)", text, re.DOTALL)
        number = int(told[1]) if told else len(request.expectations)
        if told is None or number >= len(request.expectations):
            return self._unclear(text)
        key, expect = request.expectations[number]
        if expect is ANY:
            return self._unclear(text)
        try:
            found = told[2].decode()
        except UnicodeDecodeError:
            reason = f"its version is not UTF-8: {told[2]!r:.80}"
            return Corrupt(f"{key}: {reason}; nothing was changed", key=key, reason=reason)
        return conflict(Key(key.entity_name, key.entity_id), expect, found or None)

    def _unclear(self, answer: Any, cause: Exception | None = None) -> HoldfastError:
        message = f"{self._session.where}: the answer to a commit makes no sense: {answer!r:.200}"
        told = Unavailable(f"{message}{network.REPEAT}", unknown=True, retryable=True)
        told.__cause__ = cause
        return told

    def _short(self, counts: Sequence[object]) -> HoldfastError | None:
        """Return why commits that took effect are not known to be as durable as asked for; None where they are."""
        where = self._session.where
        failed = next((count for count in counts if isinstance(count, Exception)), None)
        if failed is not None:
            told = Unavailable(
                f"{where} did not wait for its replicas: {failed}", unknown=True, retryable=True
            )
            told.__cause__ = failed
            return told
        if short := self._waits.short(counts):
            message = f"{where}: {short} in time, and a failover may lose the commit"
            return Unavailable(f"{message}{network.REPEAT}", unknown=True, retryable=True)
        return None


def _parts(batch: Sequence[Request]) -> list[list[Request]]:
    parts: list[list[Request]] = [[]]
    size = 0
    for request in batch:
        size += _size(request)
        if parts[-1] and size > MOST_BYTES:
            parts.append([])
            size = _size(request)
        parts[-1].append(request)
    return parts


def _size(request: Request) -> int:
    """Return about how many bytes a commit is."""
    values = sum(len(bytes(effect.value)) for effect in request.effects if not isinstance(effect, Removed))
    return values + 100 * len(request.expectations)


def _copy(error: HoldfastError) -> HoldfastError:
    """Return an error like it, with a traceback of its own for whoever it is raised at."""
    same = type(error)(*error.args, **error.facts)
    same.__cause__ = error.__cause__
    return same
