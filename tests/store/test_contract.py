"""The contract, on each backend: one fixture each."""

from pathlib import Path

import pytest

from holdfast.store import Durability, Key, Put, Store, open_store
from holdfast.testing.simulation.disk import SimulatedDisk
from tests.store.contract import StoreContract
from tests.store.workload import store_on


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory:")

    async def test_durability(self, store: Store) -> None:
        assert store.durability is Durability.NONE


class TestFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data")


class TestFileNamespace(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data?namespace=Other/One")


class TestFileAlwaysAtWork(StoreContract):
    """Checkpoints all the time, in segments that are always full, on a disk in memory."""

    @pytest.fixture
    def store(self) -> Store:
        return store_on(SimulatedDisk())


async def test_namespaces_do_not_meet(tmp_path: Path) -> None:
    key = Key("a", "b")
    async with open_store(f"file:{tmp_path}") as one, open_store(f"file:{tmp_path}", namespace="two") as two:
        await one.commit([Put(key, 1)])
        await two.commit([Put(key, 2)])
        assert (await one.get(key))[0] != (await two.get(key))[0]
    async with open_store(f"file:{tmp_path}") as one, open_store(f"file:{tmp_path}?namespace=two") as two:
        assert [(await store.get(key))[0].value for store in (one, two)] == [1, 2]  # type: ignore[union-attr]
