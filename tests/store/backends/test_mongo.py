"""The contract on the MongoDB backend. By default on a wire-protocol test server, which is not MongoDB."""

import pytest

from holdfast.store import Store, open_store
from tests.store.backends.mongo_servers import server, url
from tests.store.contract import StoreContract

__all__ = ("server", "url")

pytestmark = pytest.mark.server("mongo")


class TestMongo(StoreContract):
    @pytest.fixture
    def store(self, url: str) -> Store:
        return open_store(url)
