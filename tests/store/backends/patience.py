"""Stores with time-outs that a test can wait for: what is to succeed is tried until it does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from holdfast.errors import Unavailable
from holdfast.store import Store

__all__ = ("opened", "patiently")

T = TypeVar("T")


async def patiently(use: Callable[[], Awaitable[T]]) -> T:
    """Return what a use of a store with short time-outs comes to: a slow machine may need several tries.

    A commit wants an id, since a try that was not answered in time may have happened.
    """
    for _ in range(200):
        try:
            return await use()
        except Unavailable:
            continue
    return await use()


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """Have a store with short time-outs open."""
    await patiently(store.open)
    try:
        yield store
    finally:
        await store.close()
