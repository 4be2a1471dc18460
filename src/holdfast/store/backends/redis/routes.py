"""The ways to the server that a namespace is on: an address, a socket, whoever sentinels say, a slot's owner.

A route makes connections and knows where to try next; whether what it found may be used is judged by the session.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.errors import InvalidOption
from holdfast.store.backends import network
from holdfast.store.backends.redis.dial import OPTIONS, SENTINEL, Address, Dial
from holdfast.store.backends.redis.errors import Again, Broken, Moved, shaped, unasked
from holdfast.store.backends.redis.line import Line
from holdfast.store.url import StoreUrl

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

__all__ = ("OPTIONS", "Address", "Dial", "Route", "route_of")

PORT: Final = 6379
SENTINEL_PORT: Final = 26379


class Route(Protocol):
    """A way to the server that a namespace is on."""

    watched: bool
    """Whether another server may take this one's place."""

    def clustered(self) -> bool:
        """Whether servers say themselves where a slot is."""

    async def find(self) -> tuple[Address, "AbstractConnection"]:
        """Return a connection to where the namespace should be now; raises Again or the driver's errors."""

    async def reach(self, address: Address) -> "AbstractConnection":
        """Return a connection to one address."""

    def moved(self, moved: Moved, seen_from: Address) -> Address:
        """Take what a server said of where the slot is; return the address to go to."""


class Direct:
    """One address, always."""

    watched = False

    def __init__(self, dial: Dial, address: Address) -> None:
        self.reach = dial
        self._address = address

    def clustered(self) -> bool:
        """It has one server."""
        return False

    async def find(self) -> tuple[Address, "AbstractConnection"]:
        """Return a connection to the address."""
        return self._address, await self.reach(self._address)

    def moved(self, moved: Moved, seen_from: Address) -> Address:
        """Refuse: a server of its own has every slot."""
        raise InvalidOption(f"{seen_from} belongs to a cluster: write redis+cluster:// for redis://")


class Slots:
    """A cluster: the address that was last found right, then the others that were ever heard of."""

    watched = True

    def __init__(self, dial: Dial, seeds: tuple[Address, ...]) -> None:
        self.reach = dial
        self._known = list(seeds)

    def clustered(self) -> bool:
        """It has many servers."""
        return True

    async def find(self) -> tuple[Address, "AbstractConnection"]:
        """Return a connection to the first known node that answers; it says itself if the slot is elsewhere."""
        return await _first(self._known, self.reach)

    def moved(self, moved: Moved, seen_from: Address) -> Address:
        """Take the node that has the slot for the first to try (where it has it for good)."""
        address = Address(moved.host or seen_from.host, moved.port)
        if not moved.ask:
            self._known = [address, *(known for known in self._known if known != address)]
        return address


class Sentinels:
    """Sentinels: asked for the master each time."""

    watched = True

    def __init__(self, dial: Dial, ask: Dial, sentinels: tuple[Address, ...], service: str) -> None:
        self.reach = dial
        self._ask = ask
        self._sentinels = sentinels
        self._service = service

    def clustered(self) -> bool:
        """It has one master."""
        return False

    async def find(self) -> tuple[Address, "AbstractConnection"]:
        """Return a connection to what the first sentinel that answers takes for the master."""
        sentinel, connection = await _first(self._sentinels, self._ask)
        line = Line(connection)
        try:
            (answer,) = await line.ask(
                ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service), within=self._ask.timeout
            )
        except Broken as error:
            raise Again(error.error) from error
        finally:
            await line.close()
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            known = f"the sentinel at {sentinel} knows no service {self._service!r}"
            raise InvalidOption(f"{known}: the URL is redis+sentinel://host:port/SERVICE/database")
        host, port = shaped(answer, (bytes, bytes), str(sentinel))
        if not re.fullmatch(rb"[0-9]{1,5}", port) or not host.isascii():
            raise unasked(answer, str(sentinel))
        address = Address(host.decode(), int(port))
        return address, await self.reach(address)

    def moved(self, moved: Moved, seen_from: Address) -> Address:
        """Refuse: sentinels watch no cluster."""
        raise InvalidOption(f"{seen_from} belongs to a cluster: write redis+cluster:// with its nodes")


async def _first(
    addresses: "list[Address] | tuple[Address, ...]", dial: Dial
) -> "tuple[Address, AbstractConnection]":
    """Return a connection to the first address that can be reached; raises what the last one raised."""
    errors = network.driver("redis.exceptions", extra="redis")
    for number, address in enumerate(addresses, 1):
        if number == len(addresses):
            break
        with contextlib.suppress(errors.ConnectionError, errors.TimeoutError):  # the next one may answer
            return address, await dial(address)
    return addresses[-1], await dial(addresses[-1])


def route_of(url: StoreUrl, *, timeout: float) -> Route:
    """Return the route of a URL; raises InvalidOption for one that makes no sense."""
    if url.scheme == "unix":
        return _unix(url, timeout)
    kind = url.scheme.partition("+")[2]
    if kind != "sentinel" and any(name in url.options for name in SENTINEL):
        raise InvalidOption(f"{url.text!r}: {', '.join(SENTINEL)} are for redis+sentinel:")
    makers: Mapping[str, Any] = {"": _direct, "cluster": _cluster, "sentinel": _sentinel}
    route: Route = makers[kind](url, timeout)
    return route


def _unix(url: StoreUrl, timeout: float) -> Route:
    if not url.path or url.host:
        raise InvalidOption(f"{url.text!r}: write unix:///path/to/redis.sock (?db=1 for another database)")
    database = int(network.number(url, "db", 0))
    return Direct(Dial(url, database=database, timeout=timeout), Address(url.path, 0))


def _direct(url: StoreUrl, timeout: float) -> Route:
    if len(url.hosts) > 1:
        raise InvalidOption(f"{url.text!r} names several hosts: write redis+sentinel:// or redis+cluster://")
    dial = Dial(url, database=_database(url, url.path), timeout=timeout)
    return Direct(dial, Address(url.host or "localhost", url.port or PORT))


def _cluster(url: StoreUrl, timeout: float) -> Route:
    if _database(url, url.path):
        raise InvalidOption(f"{url.text!r}: a cluster has only database 0")
    return Slots(Dial(url, database=0, timeout=timeout), _addresses(url, PORT))


def _sentinel(url: StoreUrl, timeout: float) -> Route:
    service, _, database = url.path.strip("/").partition("/")
    if not service:
        raise InvalidOption(
            f"{url.text!r} names no service: write redis+sentinel://host:port/SERVICE/database"
        )
    dial = Dial(url, database=_database(url, database), timeout=timeout)
    ask = Dial(url, database=0, timeout=timeout, sentinel=True)
    return Sentinels(dial, ask, _addresses(url, SENTINEL_PORT), service)


def _addresses(url: StoreUrl, port: int) -> tuple[Address, ...]:
    if not url.hosts:
        raise InvalidOption(f"{url.text!r} names no host")
    return tuple(Address(host, given or port) for host, given in url.hosts)


def _database(url: StoreUrl, path: str) -> int:
    text = path.strip("/")
    if text and not re.fullmatch(r"[0-9]{1,5}", text):
        raise InvalidOption(f"{url.text!r}: the database is a number, as in redis://host:6379/0")
    return int(text or 0)
