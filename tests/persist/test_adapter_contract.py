"""The contract of every store, on adapters of four methods."""

from pathlib import Path

import pytest

from holdfast.persist import AdapterStore, PersistBase, persist_of
from holdfast.persist.domains import Ctor
from holdfast.store import Durability, Store
from holdfast.store.backends.memory import MemoryStore
from tests.persist.custom import Database, FakeRedis, JsonFiles, adapter_on, on_files, redis_adapter
from tests.store.contract import StoreContract


class TestOnFiles(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return on_files(tmp_path)

    async def test_durability(self, store: Store) -> None:
        assert store.durability is Durability.POWER_LOSS


class TestOnDict(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return AdapterStore({"signal": adapter_on(Database())}, base_dir=str(tmp_path))


class TestOnRedisLike(StoreContract):
    """The adapter never looks at `base_dir`, and the namespace is not the default one."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        served = {"signal": redis_adapter(FakeRedis())}
        return AdapterStore(served, base_dir=str(tmp_path), namespace="Other/One")


class TestMixed(StoreContract):
    """Names that the contract uses, each on an adapter of another kind."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        served: dict[str, Ctor] = {
            "signal": adapter_on(Database()),
            "risk": JsonFiles,
            "history": persist_of(MemoryStore()),
            "state": PersistBase,
        }
        return AdapterStore(served, base_dir=str(tmp_path))


class TestOnAStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return AdapterStore({"signal": persist_of(MemoryStore())}, base_dir=str(tmp_path))
