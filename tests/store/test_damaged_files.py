"""Damage that was found by fuzzing: files with two faults at once, or with checksums that fit what cannot be."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import Corrupt
from holdfast.store import Append, Key
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.repair import repair
from holdfast.store.backends.file.store import FileStore
from holdfast.testing.fuzzing.formats import forged_manifest
from holdfast.testing.fuzzing.samples import KEYS, STREAMS, Sample, put, samples

CRASHED, _, CLOSED, OPENED = samples()
MANIFEST = ".holdfast/manifest"
BTCUSDT, LOWER = KEYS[0], KEYS[2]


def placed(folder: Path, sample: Sample, **files: bytes | None) -> Path:
    tree = {**sample.tree, **files}
    put({path: data for path, data in tree.items() if data is not None}, folder / "store")
    return folder / "store"


def path_of(sample: Sample, ending: str) -> str:
    return next(path for path in sorted(sample.tree) if path.endswith(ending))


def stream_file(sample: Sample, data: bytes) -> dict[str, bytes]:
    """Return a stream's file with other bytes, and a manifest whose checksums fit them."""
    path = path_of(sample, ".jsonl")
    seal, _, body = sample.tree[MANIFEST].partition(b"\n")
    manifest = msgspec.json.decode(body)
    manifest["streams"][STREAMS[0]][0][2:] = [len(data), zlib.crc32(data)]
    return {path: data, MANIFEST: forged_manifest(seal + b"\n" + msgspec.json.encode(manifest))}


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


@pytest.mark.parametrize("wrong", ["no line", "another number", "another stream", "not UTF-8"])
def test_a_stream_whose_checksum_fits_what_are_no_events_is_corrupt(tmp_path: Path, wrong: str) -> None:
    data = CLOSED.tree[path_of(CLOSED, ".jsonl")]
    other = {
        "no line": b"[]\n" + data.partition(b"\n")[2],
        "another number": data.replace(b'"number":2,', b'"number":9,'),
        "another stream": data.replace(b"sma-cross", b"other-one", 1),
        "not UTF-8": data.replace(b"commit-1", b"commit-\xff", 1),
    }[wrong]
    folder = placed(tmp_path, CLOSED, **stream_file(CLOSED, other))

    async def read() -> None:
        async with FileReader(str(folder)) as store:
            with pytest.raises(Corrupt):
                [event async for event in store.read(STREAMS[0])]

    run(read)


def test_the_end_of_a_stream_that_damage_made_longer_is_kept(tmp_path: Path) -> None:
    path = path_of(OPENED, ".jsonl")
    folder = placed(tmp_path, OPENED, **{path: b"?" + OPENED.tree[path]})

    async def go_on() -> None:
        async with FileStore(str(folder), segment_bytes=2048) as store:
            await store.commit([Append(STREAMS[0], "new")])

    run(go_on)
    aside = [file.read_bytes() for file in Path(Layout(str(folder)).quarantine).iterdir()]
    assert b"?" + OPENED.tree[path] in aside
    assert repair(str(folder))

    async def read() -> list[Any]:
        async with FileReader(str(folder)) as store:
            return [event.value async for event in store.read(STREAMS[0])]

    assert run(read)[-1] == "new"


def two_faults(folder: Path) -> Path:
    """A file of one key is gone, that of another, which differs in case only, is damaged; the journal has both."""
    gone = next(path for path in CRASHED.tree if path.startswith("signal.sma-cross/BTCUSDT"))
    damaged = "signal.sma-cross/btcusdt.json"
    return placed(
        folder, CRASHED, **{gone: None, damaged: CRASHED.tree[damaged].replace(b'"value"', b"value")}
    )


@pytest.mark.parametrize("mended", ["open", "repair"])
def test_keys_that_differ_in_case_are_restored_together(tmp_path: Path, mended: str) -> None:
    folder = two_faults(tmp_path)
    if mended == "repair":
        assert repair(str(folder))

    async def held() -> dict[Key, Any]:
        found = {}
        for _ in range(2):  # as it was opened, and as it was left
            async with FileStore(str(folder), segment_bytes=2048) as store:
                for record in await store.get(BTCUSDT, LOWER):
                    assert record is not None
                    found[record.key] = (record.value, record.version)
        return found

    assert run(held) == {key: CRASHED.state.records[key] for key in (BTCUSDT, LOWER)}


def test_a_damaged_file_beside_the_right_one_of_its_key_breaks_nothing(tmp_path: Path) -> None:
    folder = placed(tmp_path, CLOSED, **{"signal.sma-cross/BTCUSDT.json": b"what is this?"})

    async def get() -> Any:
        async with FileReader(str(folder)) as store:
            return await store.get(BTCUSDT)

    (record,) = run(get)
    assert (record.value, record.version) == CLOSED.state.records[BTCUSDT]
    assert any("quarantine" in finding.path for finding in repair(str(folder)))
    (record,) = run(get)
    assert (record.value, record.version) == CLOSED.state.records[BTCUSDT]
