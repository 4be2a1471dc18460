"""Redis: the contract on each way to connect, and what is Redis' own."""

import pytest

from holdfast.store import Durability, Store, open_store
from holdfast.testing.servers.redis import RedisCluster, RedisServer
from tests.store.backends.redis_world import fresh
from tests.store.contract import HISTORIES, StoreContract

pytestmark = pytest.mark.server("redis")


class TestRedis(StoreContract):
    without = HISTORIES

    @pytest.fixture
    def store(self, redis: RedisServer) -> Store:
        return open_store(redis.url, namespace=fresh())

    async def test_durability(self, store: Store) -> None:
        assert store.durability is Durability.POWER_LOSS
        assert store.warnings == ()


class TestRedisSocket(StoreContract):
    @pytest.fixture
    def store(self, redis_locked: RedisServer) -> Store:
        return open_store(redis_locked.unix_url, namespace=fresh())


class TestRedisCluster(StoreContract):
    @pytest.fixture
    def store(self, redis_cluster: RedisCluster) -> Store:
        return open_store(redis_cluster.url, namespace=fresh())
