"""One connection, used by many tasks at once and never one answer off.

A task of the line's own sends what waits, all of it in one go, and reads the answers in their order. Who asks only
waits: cancelling him takes nothing off the connection, and his answer is read and dropped. After a failure, or when
somebody waited too long, the connection is thrown away with everything that was on it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.store.backends import network
from holdfast.store.backends.redis.errors import Broken

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

__all__ = ("Line",)

Command = Sequence[Any]


class _Asked:
    __slots__ = ("answers", "commands", "heard", "sent")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.heard: list[Any] = []
        self.sent = False

    def fail(self, error: BaseException) -> None:
        if not self.answers.done():
            self.answers.set_exception(Broken(error, sent=self.sent, begun=bool(self.heard)))


class Line:
    """A connected `connection` of redis-py, whose own retries and reconnects are never used."""

    def __init__(self, connection: "AbstractConnection") -> None:
        self._connection = connection
        self._waiting: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        errors = network.driver("redis.exceptions", extra="redis")
        self._refusals, self._late = errors.ResponseError, errors.TimeoutError

    @property
    def usable(self) -> bool:
        """Whether nothing is known to be wrong with it."""
        return self._error is None

    async def ask(self, *commands: Command, within: float) -> list[Any]:
        """Return the answers to commands that are sent together; a server's error is returned, not raised.

        Raises Broken where the connection is lost, or `within` seconds pass.
        """
        asked = _Asked(commands)
        if self._error is not None:
            raise Broken(self._error, sent=False)
        self._waiting.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="holdfast-redis-line")
        try:
            async with asyncio.timeout(within):
                return await asked.answers
        except TimeoutError as error:
            self.drop(error)
            raise Broken(error, sent=asked.sent) from error

    def drop(self, error: BaseException) -> None:
        """Throw the connection away: everybody who waits gets Broken."""
        if self._error is None:
            self._error = error
        if self._task is not None and not self._task.done():
            self._task.cancel()

    async def close(self, *, within: float = 0.0) -> None:
        """Give what was asked `within` seconds to be answered, and disconnect."""
        if self._task is not None and not self._task.done() and within > 0:
            await asyncio.wait([self._task], timeout=within)
        healthy = self._error is None and (self._task is None or self._task.done())
        self.drop(ConnectionError("the connection was closed"))
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        with contextlib.suppress(self._late):  # TLS says goodbye; who does not answer that is left alone
            await self._connection.disconnect(nowait=not healthy)

    async def _run(self) -> None:
        asked: list[_Asked] = []
        try:
            while self._waiting:
                asked = [one for one in self._waiting if not one.answers.done()]
                self._waiting.clear()
                if asked:
                    await self._round(asked)
        except (
            Exception,
            asyncio.CancelledError,
        ) as error:  # everybody who waits is told, with this as the cause
            self._error = self._error or error
            for one in (*asked, *self._waiting):
                one.fail(self._error)
            self._waiting.clear()
            await self._connection.disconnect(nowait=True)

    async def _round(self, asked: Sequence[_Asked]) -> None:
        if not self._connection.is_connected or await self._connection.can_read():
            raise ConnectionResetError("the server has closed the connection")  # seen before anything is sent
        commands = [command for one in asked for command in one.commands]
        for one in asked:
            one.sent = True
        await self._connection.send_packed_command(
            self._connection.pack_commands(commands), check_health=False
        )
        for one in asked:
            for _ in one.commands:
                one.heard.append(await self._answer())
            if not one.answers.done():
                one.answers.set_result(one.heard)

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except self._refusals as error:
            return error
