"""What the tests on Redis share: each server once a session, a namespace a test."""

import itertools
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from holdfast.testing.servers.redis import RedisCluster, RedisServer
from tests.conftest import need_servers

__all__ = ("fresh", "key_of", "redis", "redis_cluster", "redis_locked")

_count = itertools.count(1)


def fresh() -> str:
    """Return a namespace that no other test has, with characters that Redis would misread."""
    return f"test {next(_count)} {{}}%:{secrets.token_hex(4)}"


def key_of(namespace: str, kind: str) -> str:
    """Return a key as Holdfast names it, spelled out here so that a change of the layout is noticed."""
    return f"holdfast:{{{quote(namespace, safe='')}}}:{kind}"


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
