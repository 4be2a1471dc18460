"""Servers that several modules of tests share, each started once a session, when it is first asked for."""

from collections.abc import Iterator

import pytest

from holdfast.testing.servers.redis import RedisCluster, RedisServer
from tests.conftest import need_servers

# --- Redis --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A server that keeps its promises."""
    need_servers("redis")
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_locked() -> Iterator[RedisServer]:
    """A server that asks for a password."""
    need_servers("redis")
    with RedisServer(password="s3cret:/@ %word") as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A cluster of three masters."""
    need_servers("redis")
    with RedisCluster() as cluster:
        yield cluster
