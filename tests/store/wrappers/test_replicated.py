"""A primary and its replicas: the contract, catching up, what diverged, promoting, and no commit past the wrapper."""

from pathlib import Path

import pytest

from holdfast.store import Store, open_store
from holdfast.store.wrappers.replicated import replicated
from tests.store.contract import StoreContract


class TestFiles(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return replicated(open_store(f"file:{tmp_path}/one"), [open_store(f"file:{tmp_path}/two")])


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return replicated(open_store("memory:"), [open_store("memory:"), open_store("memory:")])
