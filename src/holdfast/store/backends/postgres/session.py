"""One connection: it answers in time and in order, or it is never used again."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from holdfast.store.backends.postgres.faults import NotNow, certain, foreign
from holdfast.system import Clock

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

__all__ = ("Session",)

IDLE: Final = 15.0
"""A connection that has been idle for this long (s) is asked whether it lives before it is given work."""


class Session:
    """A connection to `address`, known to the server by a `token` of its own.

    `noticed` counts the warnings that it has been given: a wait for a standby that was cancelled is one.
    """

    def __init__(
        self, connection: "asyncpg.Connection[Any]", address: object, token: str, clock: Clock
    ) -> None:
        self.address = address
        self.token = token
        self.noticed = 0
        self._connection = connection
        self._clock = clock
        self._used = clock.monotonic()
        self._expired = False
        self._statements: dict[str, PreparedStatement[Any]] = {}
        connection.add_log_listener(self._notice)

    @property
    def usable(self) -> bool:
        """Whether it has not been cut or dropped, as far as this side knows."""
        return not self._connection.is_closed()

    async def fetch(self, statement: str, *arguments: object, within: float) -> list[Any]:
        """Return the rows of a statement; raises what the server says, or NotNow where the connection is lost.

        A connection that is late, or whose caller is cancelled, is dropped at once: nothing else is read from it.
        """
        rows: list[Any] = await self._timed(lambda: self._prepared(statement, arguments), within)
        return rows

    async def execute(self, statements: str, *, within: float) -> None:
        """Run several statements without arguments; raises as `fetch` does."""
        await self._timed(lambda: self._connection.execute(statements), within)

    async def lives(self, within: float) -> bool:
        """Whether it still answers, asked only of one that has been idle; False has dropped it."""
        if not self.usable or self._clock.monotonic() - self._used < IDLE:
            return self.usable
        try:
            await self.fetch("SELECT 1", within=within)
        except Exception as error:
            if not foreign(error):
                raise
            self.drop()
        return self.usable

    def drop(self) -> None:
        """Cut the connection, whatever is under way on it."""
        self._connection.terminate()

    async def close(self) -> None:
        """Say good-bye, or cut it where that takes long."""
        try:
            await self._connection.close(timeout=1.0)
        except Exception:
            self.drop()  # it was on its way out: there is nobody to tell

    async def _prepared(self, statement: str, arguments: tuple[object, ...]) -> list[Any]:
        prepared = self._statements.get(statement)
        if prepared is None:
            prepared = self._statements[statement] = await self._connection.prepare(statement)
        return await prepared.fetch(*arguments)

    async def _timed(self, ask: Callable[[], Any], within: float) -> Any:
        """Wait with a timer that cuts the connection: asyncpg's own would open another one, to cancel politely."""
        timer = asyncio.get_running_loop().call_later(max(within, 0.001), self._expire)
        try:
            answer = await ask()
        except asyncio.CancelledError:
            self.drop()
            raise
        except Exception as error:
            if certain(error):
                raise
            # Where it was cut, asyncpg trips over what it has let go of: an AttributeError in `prepare`.
            cut = not self.usable
            self.drop()
            if not cut and not foreign(error):
                raise
            raise NotNow(self._reason(error, within), late=self._expired) from error
        finally:
            timer.cancel()
        self._used = self._clock.monotonic()
        return answer

    def _expire(self) -> None:
        self._expired = True
        self.drop()

    def _reason(self, error: Exception, within: float) -> str:
        return f"did not answer in {within:.3g} s" if self._expired else f"lost the connection ({error})"

    def _notice(self, _: object, message: Any) -> None:
        if getattr(message, "severity_en", None) == "WARNING" or message.severity == "WARNING":
            self.noticed += 1
