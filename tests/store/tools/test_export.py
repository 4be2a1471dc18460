"""Portable files: whole, or refused as a whole."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import (
    Corrupt,
    FromTheFuture,
    InvalidOption,
    StoreInUse,
    StoreMissing,
    Unsupported,
)
from holdfast.store import Append, Key, Put, Record, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.tools import copy, differences, export, import_file
from holdfast.store.tools.importing import PortableFile
from holdfast.store.tools.mark import MARK_KEY
from holdfast.store.tools.portable import decode_line
from holdfast.store.wrappers.base import Wrapper
from tests.store.tools.filling import EVENTS, fill

NAMES = ["p.jsonl", "p.jsonl.gz"]


async def filled() -> MemoryStore:
    store = MemoryStore()
    async with store:
        await fill(store)
    return store


async def equal(one: Store, other: Store) -> bool:
    async with one, other:
        return not await differences(one, other)


async def small(path: Path) -> MemoryStore:
    """Export a small store."""
    store = MemoryStore()
    async with store:
        await store.commit(
            [Put(Key("signal.s", "é"), {"a": [1, 1.5]}), Put(Key("signal.s", "b"), None), Append("h", 1)]
        )
        await store.commit([Append("h", "x"), Put(Key("z", "z"), -0.0)])
    await export(store, str(path))
    return store


@pytest.mark.parametrize("name", NAMES)
async def test_it_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    store, path = await filled(), str(tmp_path / name)
    done = await export(store, path)
    assert (done.events, done.bytes) == (EVENTS, os.stat(path).st_size)
    assert os.listdir(tmp_path) == [name]
    target = MemoryStore()
    assert (await import_file(path, target)).mark == "copy"
    assert await equal(store, target)
    assert (await import_file(path, target)).written == 0


@pytest.mark.parametrize("name", NAMES)
async def test_any_section_can_be_read_from_its_middle(tmp_path: Path, name: str) -> None:
    store = await filled()
    await export(store, str(tmp_path / name))
    async with store, PortableFile(str(tmp_path / name)) as file:
        assert await file.names() == await store.names()
        assert [e.value for e in await all_of(file.read("history.s.X", after=997))] == [
            e.value for e in await all_of(store.read("history.s.X", after=997))
        ]
        after = [r.key.entity_id for r in await all_of(file.scan("signal.s", after="id-9", limit=3))]
        assert after == [r.key.entity_id for r in await all_of(store.scan("signal.s", after="id-9", limit=3))]
        record, none = await file.get(Key("signal.s", "id-77"), Key("signal.s", "no"))
        assert record is not None
        assert (record.value, none) == (77, None)
        with pytest.raises(Unsupported):
            await file.commit([])


async def all_of(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]


async def test_a_file_that_somebody_compressed_anew_is_read(tmp_path: Path) -> None:
    store = await filled()
    await export(store, str(tmp_path / "p.jsonl"))
    packed = await asyncio.to_thread(lambda: gzip.compress((tmp_path / "p.jsonl").read_bytes(), 1))
    (tmp_path / "again.gz").write_bytes(packed)
    target = MemoryStore()
    await import_file(str(tmp_path / "again.gz"), target)
    assert await equal(store, target)


async def test_each_byte_counts(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    await small(path)
    data = path.read_bytes()
    assert len(data) < 1_000
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
            target = MemoryStore()
            with pytest.raises((Corrupt, FromTheFuture)):
                await import_file(str(path), target)
            assert target.head == 0
    path.write_bytes(data)  # the control: nothing but the flips was wrong
    await import_file(str(path), MemoryStore())


async def test_each_byte_of_a_compressed_file_counts_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    store = await small(path)
    data, refused = path.read_bytes(), 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :])
        target = MemoryStore()
        try:
            await import_file(str(path), target)
        except (Corrupt, FromTheFuture):
            assert target.head == 0
            refused += 1
        else:  # the date in a gzip header, and the like
            assert await equal(store, target)
    assert refused > 0.8 * len(data)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    await small(path)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(Corrupt, match="is not whole"):
            await import_file(str(path), MemoryStore())
    path.write_bytes(data + data)
    with pytest.raises(Corrupt):
        await import_file(str(path), MemoryStore())


async def test_lines_in_another_order_are_refused_whatever_their_digest_says(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    await small(path)
    *lines, _ = path.read_bytes().splitlines(keepends=True)
    import hashlib

    def signed(body: list[bytes]) -> bytes:
        digest = hashlib.sha256(b"".join(body)).hexdigest()
        return b"".join(body) + b'{"end":true,"records":3,"events":2,"sha256":"%s"}\n' % digest.encode()

    path.write_bytes(signed(lines))
    await import_file(str(path), MemoryStore())
    for one, other in ((2, 3), (5, 6)):
        changed = list(lines)
        changed[one], changed[other] = lines[other], lines[one]
        path.write_bytes(signed(changed))
        with pytest.raises(Corrupt):
            await import_file(str(path), MemoryStore())
    path.write_bytes(signed([lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]]))
    with pytest.raises(FromTheFuture):
        await import_file(str(path), MemoryStore())


async def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("mine")
    with pytest.raises(InvalidOption, match="already"):
        await export(await filled(), str(path))
    assert path.read_text() == "mine"
    with pytest.raises(StoreMissing):
        await import_file(str(tmp_path / "nowhere"), MemoryStore())


class Changing(Wrapper):
    """A store that somebody changes while it is scanned."""

    def __init__(self, inner: Store, times: int) -> None:
        super().__init__(inner)
        self.times = times

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        async for record in super().scan(entity_name, after=after, limit=limit):
            yield record
        if self.times:
            self.times -= 1
            await self.inner.commit([Put(Key("signal.s", f"new-{self.times}"), 1)])


async def test_a_store_that_changes_is_written_as_of_one_instant_or_not_at_all(tmp_path: Path) -> None:
    store = await filled()
    await export(Changing(store, 3), str(tmp_path / "one"))
    target = MemoryStore()
    await import_file(str(tmp_path / "one"), target)
    assert await equal(store, target)
    with pytest.raises(StoreInUse):
        await export(Changing(store, 1_000), str(tmp_path / "other"))
    assert os.listdir(tmp_path) == ["one"]


async def test_an_unfinished_copy_is_not_exported(tmp_path: Path) -> None:
    source, target = await filled(), MemoryStore()
    await copy(source, target)
    async with target:
        (record,) = await target.get(MARK_KEY)
        assert record is not None
        await target.commit([Put(MARK_KEY, {**record.value, "state": "copying"})])
    with pytest.raises(InvalidOption, match="unfinished"):
        await export(target, str(tmp_path / "p"))


def test_a_line_that_is_nested_without_an_end_is_none() -> None:
    with pytest.raises(ValueError, match="nested"):
        decode_line(b'{"holdfast":' + b"[" * 100_000)
