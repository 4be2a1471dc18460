"""The contract, on stores of files in settings of their own; see tests/testing_conformance/test_backends.py."""

from pathlib import Path

import pytest

from holdfast.store import Durability, Key, Put, Store, open_store
from holdfast.testing.simulation.disk import SimulatedDisk
from tests.store.contract import StoreContract
from tests.store.workload import store_on


def test_memory_keeps_nothing() -> None:
    assert open_store("memory:").durability is Durability.NONE


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
