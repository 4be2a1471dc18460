"""How long a run keeps asking an exchange that does not answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from holdfast.errors import Unavailable, Unknown
from holdfast.system import Clock

__all__ = ("Patience",)

T = TypeVar("T")


class Patience(Struct, frozen=True, kw_only=True):
    """How often an exchange is asked again before a symbol halts, and the pauses (s), doubling, in between."""

    attempts: int = 10
    first: float = 0.05
    longest: float = 5.0

    def pauses(self) -> list[float]:
        """Return the pauses between the attempts."""
        return [min(self.first * 2**i, self.longest) for i in range(self.attempts - 1)]

    async def ask(self, clock: Clock, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a question that changes nothing, asked again while the exchange is away.

        Raises the last Unknown or Unavailable after all attempts.
        """
        for pause in self.pauses():
            try:
                return await question()
            except (Unknown, Unavailable):
                await clock.sleep(pause)
        return await question()
