"""What the MongoDB backend's tests run on: the wire-protocol test server, and a real one where its URL is given.

`HOLDFAST_TEST_MONGODB_URL=mongodb://user:word@host/?replicaSet=rs0` runs the same tests on MongoDB itself, each in a
database of its own that is dropped afterwards. Without it nothing here says anything about mongod.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from holdfast.testing.servers.mongo import MongoTestServer

REAL = os.environ.get("HOLDFAST_TEST_MONGODB_URL", "")
NOT_SHOWN = "not shown: needs a real MongoDB replica set (HOLDFAST_TEST_MONGODB_URL)"

needs_mongodb = pytest.mark.skipif(not REAL, reason=NOT_SHOWN)


@pytest.fixture(scope="session")
def server() -> Iterator[MongoTestServer]:
    """One wire-protocol test server for all tests."""
    with MongoTestServer() as running:
        yield running


@pytest.fixture(params=["test-server", pytest.param("mongodb", marks=needs_mongodb)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database, on the test server and on a real one."""
    name = f"holdfast-test-{uuid.uuid4().hex[:12]}"
    if request.param == "test-server":
        running: MongoTestServer = request.getfixturevalue("server")
        yield running.url.replace("/holdfast?", f"/{name}?")
        return
    parts = urlsplit(REAL)
    yield parts._replace(path=f"/{name}", query=with_source(parts.query)).geturl()
    with MongoClient[dict[str, Any]](REAL) as client:
        client.drop_database(name)


def with_source(query: str) -> str:
    """Return a URL's query that says where the user is known, as the path no longer does."""
    return query if "authsource" in query.lower() else "&".join(filter(None, (query, "authSource=admin")))


async def until(condition: Any, *, limit: float = 100.0) -> None:
    """Return once `condition()` holds; fail after `limit` seconds."""
    end = asyncio.get_running_loop().time() + limit
    while not condition():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.005)
