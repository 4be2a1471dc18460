"""The gate of the MongoDB test server: what is late, cut off or repeated leaves nothing of a transaction behind.

These tests hold the test server to what mongod does, so that no test of ours fails or passes by a server's fault.
"""

import itertools
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any

import bson
import pytest

from holdfast.testing.servers.mongo import MongoTestServer
from tests.store.backends.mongo_servers import server

__all__ = ("server",)

pytestmark = pytest.mark.server("mongo")

OP_MSG = 2013
TOO_OLD, NO_SUCH = 225, 251
Document = dict[str, Any]


class Client:
    """One connection, and commands as they stand: a driver would hold back what these tests have to send."""

    def __init__(self, server: MongoTestServer, database: str) -> None:
        self._database = database
        self._numbers = itertools.count(1)
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=100)

    def send(self, command: Document) -> None:
        """Send a command, and wait for nothing."""
        body = b"\0\0\0\0\0" + bson.encode({**command, "$db": command.get("$db", self._database)})
        header = struct.pack("<iiii", len(body) + 16, next(self._numbers), 0, OP_MSG)
        self._socket.sendall(header + body)

    def answer(self) -> Document:
        """Return the next answer."""
        (length,) = struct.unpack("<i", self._read(4))
        return bson.decode(self._read(length - 4)[17:])

    def call(self, command: Document) -> Document:
        """Send a command and return its answer."""
        self.send(command)
        return self.answer()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _read(self, length: int) -> bytes:
        got = b""
        while len(got) < length:
            part = self._socket.recv(length - len(got))
            assert part, "the server ended the connection"
            got += part
        return got


class World:
    """A database, one session's transactions by their numbers, and two connections."""

    def __init__(self, server: MongoTestServer) -> None:
        self._server = server
        self._database = f"gate-{uuid.uuid4().hex[:12]}"
        self._lsid = {"id": bson.Binary(uuid.uuid4().bytes, 4)}
        self.clients: list[Client] = []
        self.one, self.other = self.client(), self.client()
        assert self.one.call({"create": "things"})["ok"] == 1

    def client(self) -> Client:
        """Return one more connection."""
        self.clients.append(Client(self._server, self._database))
        return self.clients[-1]

    def insert(self, number: int, *ids: int, start: bool = False) -> Document:
        """Return the command that inserts documents in a transaction."""
        begin = {"startTransaction": True} if start else {}
        return {"insert": "things", "documents": [{"_id": i} for i in ids], **self._in(number), **begin}

    def end(self, how: str, number: int) -> Document:
        """Return the command that commits or aborts a transaction."""
        return {f"{how}Transaction": 1, **self._in(number), "$db": "admin"}

    def there(self) -> list[int]:
        """Return what is there, to everyone."""
        answer = self.client().call({"find": "things", "filter": {}, "batchSize": 100_000})
        return sorted(each["_id"] for each in answer["cursor"]["firstBatch"])

    def _in(self, number: int) -> Document:
        return {"lsid": self._lsid, "txnNumber": bson.Int64(number), "autocommit": False}


@pytest.fixture
def world(server: MongoTestServer) -> Iterator[World]:
    world = World(server)
    yield world
    for client in world.clients:
        client.close()


def test_a_late_command_of_an_aborted_transaction_is_refused(world: World) -> None:
    assert world.one.call(world.insert(1, 1, start=True))["ok"] == 1
    assert world.other.call(world.end("abort", 1))["ok"] == 1
    assert world.one.call(world.insert(1, 2))["code"] == NO_SUCH
    assert world.there() == []


def test_a_late_command_is_no_part_of_the_sessions_next_transaction(world: World) -> None:
    assert world.one.call(world.insert(1, 1, start=True))["ok"] == 1
    assert world.other.call(world.end("abort", 1))["ok"] == 1
    assert world.other.call(world.insert(2, 2, start=True))["ok"] == 1
    assert world.one.call(world.insert(1, 3))["code"] == TOO_OLD
    assert world.other.call(world.end("commit", 2))["ok"] == 1
    assert world.there() == [2]


@pytest.mark.parametrize("how", ["commit", "abort"])
def test_a_late_end_does_not_end_the_sessions_next_transaction(world: World, how: str) -> None:
    assert world.one.call(world.insert(1, 1, start=True))["ok"] == 1
    assert world.other.call(world.end("abort", 1))["ok"] == 1
    assert world.other.call(world.insert(2, 2, start=True))["ok"] == 1
    assert world.one.call(world.end(how, 1))["code"] == TOO_OLD
    assert world.other.call(world.insert(2, 3))["ok"] == 1
    assert world.other.call(world.end("commit", 2))["ok"] == 1
    assert world.there() == [2, 3]


def test_an_abort_waits_for_the_command_that_runs(world: World) -> None:
    world.one.send(world.insert(1, *range(3000), start=True))
    end = time.monotonic() + 100
    while world.other.call(world.end("abort", 1))["ok"] != 1:  # it has not begun
        assert time.monotonic() < end
    world.one.answer()
    assert world.there() == []


def test_a_connection_that_ends_takes_its_transaction_along_once_its_command_has_ended(world: World) -> None:
    world.one.send(world.insert(1, *range(3000), start=True))
    world.one.close()
    assert world.there() == []


def test_a_sessions_next_transaction_ends_the_one_before(world: World) -> None:
    assert world.one.call(world.insert(1, 1, start=True))["ok"] == 1
    assert world.other.call(world.insert(2, 2, start=True))["ok"] == 1
    assert world.other.call(world.end("commit", 2))["ok"] == 1
    assert world.there() == [2]


def test_a_commit_may_be_repeated(world: World) -> None:
    assert world.one.call(world.insert(1, 1, start=True))["ok"] == 1
    assert world.one.call(world.end("commit", 1))["ok"] == 1
    assert world.other.call(world.end("commit", 1))["ok"] == 1
    assert world.there() == [1]
