"""The world outside, as objects that a test can replace: the clock and the source of fresh ids.

The only module of the core that calls `time` or `secrets`. Market time is never read here: it comes
from the exchange. Wall time is for stamps, monotonic time for durations and leases.
"""

import asyncio
import secrets
import time
from typing import Protocol

__all__ = ("Clock", "Ids", "SystemClock", "system_bytes", "system_ids")


class Clock(Protocol):
    """Wall time, monotonic time, and waiting."""

    def now(self) -> int:
        """Wall time, in milliseconds since 1970 UTC; for stamps, never for order."""

    def monotonic(self) -> float:
        """Seconds that only grow; for durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of `monotonic`."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """Wall time, in milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


class Ids(Protocol):
    """A source of names that no one else has chosen (commit ids, segment salts)."""

    def __call__(self) -> str:
        """A fresh id: 1 to 64 characters of `[0-9a-zA-Z-]`."""


def system_ids() -> str:
    """Return 32 random hexadecimal digits."""
    return secrets.token_hex(16)


def system_bytes(count: int) -> bytes:
    """Return `count` bytes that nobody can guess: for keys and nonces, which may never repeat."""
    return secrets.token_bytes(count)
