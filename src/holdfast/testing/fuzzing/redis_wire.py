"""A Redis server's side of a connection, in memory: redis-py's own connection and parser, without a socket.

What was asked is told apart by its script; to each question there is one answer, whenever it is asked.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast.store.backends import network
from holdfast.store.backends.redis import scripts
from holdfast.store.backends.redis.routes import Address

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

__all__ = ("Refusal", "Wire", "question", "spoken")

SCRIPTS: Final = {
    spelled: name
    for name in ("BIND", "COMMIT", "EVENTS", "GET", "INDEX", "LAST", "SCAN")
    for spelled in (getattr(scripts, name).sha.encode(), getattr(scripts, name).source.encode())
}


class Refusal(str):
    """What a server answers as an error."""

    __slots__ = ()


class Wire:
    """Makes connections to a server that answers each question with these bytes, and hangs up after some of them.

    `heard` is what redis-py made of the newest answer to each question.
    """

    timeout = 20.0

    def __init__(self, answers: Mapping[str, bytes], *, last: Collection[str] = ()) -> None:
        self.heard: dict[str, Any] = {}
        self._answers = answers
        self._last = last

    async def __call__(self, address: Address) -> "AbstractConnection":
        """Return a connection, as a route makes one; the address tells nothing."""
        driver = network.driver("redis.asyncio.connection", extra="redis")
        made: Any = driver.Connection(
            host="127.0.0.1", port=1, socket_timeout=None, protocol=2, driver_info=None, retry_on_error=[],
            health_check_interval=0,
        )  # fmt: skip
        asked: deque[str] = deque()

        async def connect() -> None:
            reader = asyncio.StreamReader(limit=2**20)
            server = _Server(self._answers, self._last, asked, reader)
            made._reader, made._writer = reader, server

        read = made.read_response

        async def hear() -> Any:
            name = asked.popleft() if asked else "?"
            try:
                self.heard[name] = await read()
            except Exception as error:
                self.heard[name] = error
                raise
            return self.heard[name]

        made._connect, made.read_response = connect, hear
        await made.connect()
        connection: AbstractConnection = made
        return connection


class _Server:
    """What redis-py writes to: it answers at once."""

    def __init__(
        self,
        answers: Mapping[str, bytes],
        last: Collection[str],
        asked: deque[str],
        reader: asyncio.StreamReader,
    ) -> None:
        self._answers = answers
        self._last = last
        self._asked = asked
        self._reader = reader

    def writelines(self, data: Sequence[bytes]) -> None:
        """Take commands, all of them whole, and answer each."""
        for command in _commands(b"".join(data)):
            name = question(command)
            self._asked.append(name)
            if not self._reader._eof:  # type: ignore[attr-defined]  # asyncio has no other way to ask
                self._reader.feed_data(self._answers[name])
            if name in self._last:
                self._reader.feed_eof()

    async def drain(self) -> None:
        """Return: there is nothing to wait for."""

    def close(self) -> None:
        """Hang up."""
        self._reader.feed_eof()

    async def wait_closed(self) -> None:
        """Return: it is closed."""


def question(command: Sequence[bytes]) -> str:
    """Return what is asked: a script's name, with a key's for indexes, or the command's words."""
    if command[0] not in (b"EVAL", b"EVALSHA"):
        return b" ".join(command).decode() if command[0] in (b"CONFIG", b"SENTINEL") else command[0].decode()
    name = SCRIPTS[command[1]]
    return f"{name} {command[4].rpartition(b':')[2].decode()}" if name == "INDEX" else name


def spoken(value: Any) -> bytes:
    """Return a value in RESP 2, as a server sends it."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, Refusal):
        return b"-" + value.encode(errors="surrogateescape") + b"\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(spoken, value))
    return b"$%d\r\n%s\r\n" % (len(value), value)


def _commands(data: bytes) -> Iterator[list[bytes]]:
    at = 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        count, at = int(data[at + 1 : end]), end + 2
        words = []
        for _ in range(count):
            end = data.index(b"\r\n", at)
            size = int(data[at + 1 : end])
            words.append(data[end + 2 : end + 2 + size])
            at = end + 4 + size
        yield words
