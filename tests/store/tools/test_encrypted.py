"""An encrypted portfolio is copied by whoever has its key, and by nobody else."""

from pathlib import Path

import pytest

from holdfast.errors import InvalidOption
from holdfast.store import open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.tools import copy, differences, export, verify
from holdfast.store.wrappers.keyring import new_key
from tests.store.tools.filling import EVENTS, fill


async def test_with_its_key_and_not_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", new_key("test"))
    plain, sealed = MemoryStore(), f"sqlite:///{tmp_path}/x.db?encrypt_key_env=KEYS"
    raw = sealed.partition("?")[0]
    async with plain:
        await fill(plain)
    assert (await copy(plain, open_store(sealed))).events == EVENTS
    async with plain, open_store(sealed) as there:
        assert await differences(plain, there) == []
        assert await verify(there) == []
    with pytest.raises(InvalidOption, match="is encrypted"):
        await copy(open_store(raw), MemoryStore())
    with pytest.raises(InvalidOption, match="is encrypted"):
        await export(open_store(raw), str(tmp_path / "p.jsonl"))
    back = MemoryStore()
    await copy(open_store(f"{sealed}&cache=100&observe=1"), back)
    async with plain, back:
        assert await differences(plain, back) == []
