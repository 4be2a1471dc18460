"""The MongoDB test server takes the collection names that mongod takes, and refuses those that it refuses."""

import secrets

import pymongo
import pytest
from pymongo.errors import OperationFailure

from holdfast.testing.servers.mongo import MongoTestServer
from holdfast.testing.servers.mongo_names import coded, decoded
from tests.store.backends.mongo_servers import server

__all__ = ("server",)

NAMES = ("holdfast.store", "One", "one", "a-b", "c_6f6e65", "é/1", "x" * 200)


def test_each_name_has_a_code_of_its_own() -> None:
    assert len({coded(name).casefold() for name in NAMES}) == len(NAMES)
    assert [decoded(coded(name)) for name in NAMES] == list(NAMES)


@pytest.mark.server("mongo")
def test_names_are_apart(server: MongoTestServer) -> None:
    with pymongo.MongoClient[dict[str, int]](f"mongodb://127.0.0.1:{server.port}/") as client:
        database = client[f"names_{secrets.token_hex(4)}"]
        for number, name in enumerate(NAMES):
            database[name].insert_many([{"n": number} for _ in range(3)])
        found = [[one["n"] for one in database[name].find(batch_size=2)] for name in NAMES]
        assert found == [[number] * 3 for number in range(len(NAMES))]
        with pytest.raises(OperationFailure, match="Invalid namespace"):
            database["x" * 256].find_one()
