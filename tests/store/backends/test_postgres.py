"""`postgresql:` on a real server: the contract, and what is its own."""

import secrets

import pytest

from holdfast.store import Durability, Store, open_store
from holdfast.testing.servers.postgres import PostgresServer
from tests.store.backends.postgres_world import postgres
from tests.store.contract import StoreContract

pytestmark = pytest.mark.server("postgres")
__all__ = ("postgres",)


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres: PostgresServer) -> Store:
        return open_store(postgres.url, namespace=secrets.token_hex(8))

    async def test_durability(self, store: Store) -> None:
        assert store.durability is Durability.POWER_LOSS
        assert store.warnings == ()
        assert store.shared
