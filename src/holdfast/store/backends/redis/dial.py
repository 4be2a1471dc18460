"""An address, and a connection to it that is connected, encrypted, logged in and on its database."""

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.store import credentials
from holdfast.store.backends import network
from holdfast.store.url import StoreUrl

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

__all__ = ("OPTIONS", "SENTINEL", "Address", "Dial")

TLS: Final = ("tls_ca", "tls_cert", "tls_key")
SENTINEL: Final = ("sentinel_username", "sentinel_password_env", "sentinel_password_file")
OPTIONS: Final = (*credentials.PASSWORD, *TLS, *SENTINEL)
"""The options that a dial reads."""


class Address(Struct, frozen=True):
    """Where a server listens: `host` and `port`, or the path of a socket (port 0)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class Dial:
    """Makes connections: knows the user, the database and TLS; reads the password anew each time."""

    def __init__(self, url: StoreUrl, *, database: int, timeout: float, sentinel: bool = False) -> None:
        self.url = url
        self.timeout = timeout
        self._database = database
        self._sentinel = sentinel
        self._secure = url.scheme.startswith("rediss")
        if not self._secure and any(name in url.options for name in TLS):
            raise InvalidOption(f"{url.text!r}: {', '.join(TLS)} are for rediss:, which speaks TLS")

    async def __call__(self, address: Address) -> "AbstractConnection":
        """Return a connection that is connected, logged in and on its database; raises the driver's errors."""
        connection = self._made(address)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)  # cancelled half-way, it would stay open
            raise
        return connection

    def _made(self, address: Address) -> "AbstractConnection":
        driver = network.driver("redis.asyncio.connection", extra="redis")
        retry = network.driver("redis.asyncio.retry", extra="redis")
        backoff = network.driver("redis.backoff", extra="redis")
        options: dict[str, Any] = {
            "db": self._database, "socket_connect_timeout": self.timeout, "socket_timeout": None, "protocol": 2,
            "retry": retry.Retry(backoff.NoBackoff(), 0), "retry_on_error": [], "health_check_interval": 0,
            "driver_info": None, **self._login(),
        }  # fmt: skip
        made: AbstractConnection
        if not address.port:
            made = driver.UnixDomainSocketConnection(path=address.host, **options)
        elif self._secure:
            made = driver.SSLConnection(host=address.host, port=address.port, **self._tls(), **options)
        else:
            made = driver.Connection(host=address.host, port=address.port, **options)
        return made

    def _login(self) -> dict[str, str | None]:
        if self._sentinel:
            password = credentials.secret(self.url.options, "sentinel_password")
            return {"username": self.url.options.get("sentinel_username"), "password": password}
        return {"username": self.url.username or None, "password": credentials.password(self.url)}

    def _tls(self) -> dict[str, str | None]:
        options = self.url.options
        return {
            "ssl_ca_certs": options.get("tls_ca"), "ssl_certfile": options.get("tls_cert"),
            "ssl_keyfile": options.get("tls_key"),
        }  # fmt: skip
