"""What checks of a store with a server share: the server, a proxy before it, and whoever insists meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from holdfast.errors import Unavailable
from holdfast.store import Append, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.servers.process import ServerProcess
from holdfast.testing.servers.proxy import Proxy

__all__ = ("at_port", "behind", "committed_once", "insisted", "server_of", "stands_once", "through")

LEAST: Final = 8
PATIENCE: Final = 15.0
"""Tries, and seconds, after both of which a store that says to be unavailable will stay so."""

PAUSE: Final = 0.02

T = TypeVar("T")


def server_of(case: Case) -> ServerProcess:
    """Return the server of the subject; raises NotShown where the kit has no handle on it."""
    if case.subject.server is None:
        at = ", ".join(case.subject.found.peers)
        raise NotShown(f"the kit was given no handle on its server{at and f' ({at})'}")
    return case.subject.server


def behind(case: Case) -> Proxy:
    """Return a proxy for the server of the subject; raises NotShown where it has none that is known."""
    return Proxy("127.0.0.1", server_of(case).port)


def through(case: Case, proxy: Proxy, namespace: str) -> str:
    """Return the address of a namespace through a proxy."""
    return at_port(case, namespace, proxy.port)


def at_port(case: Case, namespace: str, port: int) -> str:
    """Return the address of a namespace on another port than that of the subject's server."""
    return case.address(namespace).replace(f":{server_of(case).port}", f":{port}")


async def insisted(case: Case, what: str, call: Callable[[], Awaitable[T]]) -> T:
    """Return the answer to a call that is made again while the store is Unavailable; fail where it stays so."""
    began, tries = time.monotonic(), 0
    while True:
        try:
            return await call()
        except Unavailable as error:
            tries += 1
            if tries >= LEAST and time.monotonic() - began > PATIENCE:
                case.broken(f"{what} is Unavailable {tries} times in a row, in {PATIENCE:g} s: {error}")
        await asyncio.sleep(PAUSE)  # it may have to connect again first


async def committed_once(case: Case, store: Store, stream: str) -> None:
    """Append one event to a stream of its own under one id, until that is known; fail unless it stands there once."""
    await insisted(case, f"a commit to {stream}", lambda: store.commit([Append(stream, 0)], commit_id=stream))
    await stands_once(case, store, stream)


async def stands_once(case: Case, store: Store, stream: str) -> None:
    """Fail unless a stream has one event."""
    found = await insisted(case, f"the stream {stream}", lambda: everything(store.read(stream)))
    case.same(len(found), 1, f"the events of the commit {stream}")
