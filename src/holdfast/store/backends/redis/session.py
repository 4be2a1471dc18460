"""The lines to the server that a namespace is on: found, judged, compared with what is known, and found again.

A request that was certainly not carried out is asked again until its deadline. One that may have been is not, unless it
only reads: the caller is told that it is unknown.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from holdfast.errors import NotOpen, Unavailable
from holdfast.store.backends import network
from holdfast.store.backends.redis.binding import Binding
from holdfast.store.backends.redis.errors import (
    Again,
    Broken,
    code_of,
    cut,
    explain,
    is_passing,
    moved_of,
    shaped,
)
from holdfast.store.backends.redis.findings import QUESTIONS, Findings, judge
from holdfast.store.backends.redis.line import Line
from holdfast.store.backends.redis.routes import Address, Route
from holdfast.store.backends.redis.scripts import Call
from holdfast.system import Clock, Ids

__all__ = ("COMMITS", "READS", "Session")

COMMITS: Final = "commits"
READS: Final = "reads"
"""Commits have a line of their own, so that a WAIT holds up no read."""


class Session:
    """A namespace on a server, over lines that are made again when they break.

    `findings` are those of the newest line, `binding` is what every request compares itself with.
    """

    def __init__(
        self,
        where: str,
        namespace: str,
        route: Route,
        timeouts: network.Timeouts,
        *,
        clock: Clock,
        ids: Ids,
        read_only: bool = False,
    ) -> None:
        self.where = where
        self.binding = Binding(where, namespace, clock=clock, ids=ids, read_only=read_only)
        self.layout, self.lineage = self.binding.layout, self.binding.lineage
        self.findings: Findings | None = None
        self._route = route
        self._timeouts = timeouts
        self._clock = clock
        self._read_only = read_only
        self._lines: dict[str, tuple[Address, Line]] = {}
        self._connecting = asyncio.Lock()
        self._closed = True
        self._errors = network.driver("redis.exceptions", extra="redis")

    async def open(self) -> None:
        """Connect, and bind the namespace; raises what keeps it from being used."""
        self._closed = False
        self.binding.begin()
        deadline = self._clock.monotonic() + self._timeouts.connect
        await self._until(deadline, lambda: self._line(COMMITS, deadline))

    async def close(self) -> None:
        """Let what was asked be answered, and disconnect."""
        self._closed = True
        lines, self._lines = list(self._lines.values()), {}
        for _, line in lines:
            await line.close(within=self._timeouts.read)

    async def read(self, call: Call) -> list[Any]:
        """Return the answer of a script that only reads, asked again as long as time allows."""
        deadline = self._clock.monotonic() + self._timeouts.read
        (answer,) = await self._until(deadline, lambda: self._asked(READS, call, deadline))
        found = shaped(answer, call.script.answers, self.where)
        self.lineage.head = max(self.lineage.head, found[0])
        return found

    async def write(self, call: Call, *, deadline: float) -> list[Any]:
        """Return the answers of a script that writes and of what follows it; Unavailable(unknown) where it is."""
        answers: list[Any] = await self._until(deadline, lambda: self._asked(COMMITS, call, deadline))
        return answers

    async def _until(self, deadline: float, attempt: Any) -> Any:
        for turn, pause in enumerate(_pauses()):
            try:
                with self.lineage.telling():
                    return await attempt()
            except Again as again:
                last = again
            if not last.at_once or turn > 4:  # nodes that send it to and fro are given time to agree
                await self._clock.sleep(min(pause, max(0.0, deadline - self._clock.monotonic())))
            if self._clock.monotonic() >= deadline:
                raise explain(last.error, self.where, unknown=False) from last.error
        raise AssertionError("pauses end never")  # pragma: no cover

    async def _asked(self, purpose: str, call: Call, deadline: float) -> list[Any]:
        address, line = await self._line(purpose, deadline)
        try:
            answers = await self._answers(line, call, deadline)
            if isinstance(answers[0], Exception):
                await self._refused(answers[0], address, unknown=purpose == COMMITS)
        except Broken as broken:
            await self._forget(purpose, line)
            self._raise_broken(broken, purpose)
        except Again as again:
            if again.ask is None:
                raise
            there = self._route.moved(again.ask, address)
            return await self._asked_there(there, purpose, call, deadline)
        return answers

    async def _answers(self, line: Line, call: Call, deadline: float, *before: tuple[str, ...]) -> list[Any]:
        answers: list[Any] = []
        for whole in (False, True):
            answers = await line.ask(
                *before, call.command(whole=whole), *call.then, within=self._left(deadline)
            )
            answers = answers[len(before) :]
            if not isinstance(answers[0], Exception) or code_of(answers[0]) != "NOSCRIPT":
                break
        return answers

    async def _asked_there(self, address: Address, purpose: str, call: Call, deadline: float) -> list[Any]:
        """Ask the node that a slot is moving to, for this one request."""
        try:
            async with asyncio.timeout(self._left(deadline)):
                line = Line(await self._route.reach(address))
        except (TimeoutError, self._errors.RedisError) as error:
            raise Again(error) from error
        try:
            answers = await self._answers(line, call, deadline, ("ASKING",))
        except Broken as broken:
            self._raise_broken(broken, purpose)
        finally:
            await line.close()
        if isinstance(answers[0], Exception):
            if moved_of(answers[0]) is not None:
                raise Again(answers[0])
            await self._refused(answers[0], address, unknown=purpose == COMMITS)
        return answers

    def _raise_broken(self, broken: Broken, purpose: str) -> NoReturn:
        """Raise what a lost connection means; some of the server's errors also end one.

        One of those that comes for the second command of a commit says nothing of the first, which was carried out.
        """
        if broken.begun and purpose == COMMITS:
            raise cut(broken.error, self.where, unknown=True) from broken.error
        told = explain(broken.error, self.where, unknown=broken.sent and purpose == COMMITS)
        if getattr(told, "retryable", False) and not told.unknown:
            raise Again(broken.error) from broken.error
        raise told from broken.error

    async def _refused(self, error: Exception, address: Address, *, unknown: bool) -> NoReturn:
        """Raise what a server's error means: Again where nothing was carried out and it may be soon."""
        moved = moved_of(error)
        if moved is not None:
            if not moved.ask:
                self._route.moved(moved, address)
                await self._forget_all()
            raise Again(error, at_once=True, ask=moved if moved.ask else None) from error
        if code_of(error) == "READONLY" and self._route.watched:
            await self._forget_all()  # it was the master, and another one is now
            raise Again(error) from error
        if is_passing(error):
            raise Again(error) from error
        raise explain(error, self.where, unknown=unknown) from error

    async def _line(self, purpose: str, deadline: float) -> tuple[Address, Line]:
        found = self._lines.get(purpose)
        if found is not None and found[1].usable:
            return found
        try:
            async with asyncio.timeout(self._left(deadline)), self._connecting:
                found = self._lines.get(purpose)
                if found is None or not found[1].usable:
                    found = await self._connected(purpose)
                return found
        except TimeoutError as error:
            raise Again(error) from error

    async def _connected(self, purpose: str) -> tuple[Address, Line]:
        if self._closed:
            raise NotOpen("the store was closed", url=self.where)
        old = self._lines.pop(purpose, None)
        if old is not None:
            await old[1].close()
        try:
            async with asyncio.timeout(self._timeouts.connect):
                address, connection = await self._route.find()
                line = Line(connection)
        except self._errors.RedisError as error:
            self._not_connected(error)
        try:
            await self._verified(line, address)
        except BaseException:
            await line.close()
            raise
        if self._closed:  # meanwhile
            await line.close()
            raise NotOpen("the store was closed", url=self.where)
        self._lines[purpose] = address, line
        for other, (elsewhere, stale) in list(self._lines.items()):
            if elsewhere != address:  # reads go where commits go
                await self._forget(other, stale)
        return address, line

    def _not_connected(self, error: Exception) -> NoReturn:
        told = explain(error, self.where, unknown=False)
        lasting = "the host name is unknown" in str(told) or not getattr(told, "retryable", False)
        if lasting:
            raise told from error
        raise Again(error) from error

    async def _verified(self, line: Line, address: Address) -> None:
        """Judge the server, and compare the namespace with what we know, before anything else is done there."""
        if self._route.clustered():
            await self._ask_first(line, address, ("EXISTS", self.layout.meta))
        try:
            answers = await line.ask(*QUESTIONS, within=self._timeouts.connect)
        except Broken as broken:
            self._raise_broken(broken, READS)
        if isinstance(answers[0], Exception):
            await self._refused(answers[0], address, unknown=False)
        findings = judge(answers, self.where, watched=self._route.watched, read_only=self._read_only)
        if not findings.primary and self._route.watched:
            raise Again(Unavailable(f"{self.where}: {address} is no master (yet)", unknown=False))
        known = self.lineage.head  # commits may go on meanwhile, on the other line
        command = self.binding.question().command(whole=True)
        self.binding.answered(await self._ask_first(line, address, command), known)
        self.findings = findings

    async def _ask_first(self, line: Line, address: Address, command: tuple[Any, ...]) -> Any:
        try:
            (answer,) = await line.ask(command, within=self._timeouts.connect)
        except Broken as broken:
            self._raise_broken(broken, READS)
        if isinstance(answer, Exception):
            await self._refused(answer, address, unknown=False)
        return answer

    async def _forget(self, purpose: str, line: Line) -> None:
        if self._lines.get(purpose, (None, None))[1] is line:
            del self._lines[purpose]
        await line.close()

    async def _forget_all(self) -> None:
        for purpose, (_, line) in list(self._lines.items()):
            await self._forget(purpose, line)

    def _left(self, deadline: float) -> float:
        return max(0.001, deadline - self._clock.monotonic())


def _pauses() -> Iterator[float]:
    pause = 0.02
    while True:
        yield pause
        pause = min(pause * 2, 0.5)
