"""Portable files: a portfolio as somebody keeps it for years, copies it about, and reads it back."""

import gzip
import hashlib
import zlib
from contextlib import suppress
from functools import cache
from typing import Any, Final

from holdfast.errors import Corrupt, FromTheFuture, InvalidKey
from holdfast.store import Append, Change, Put, Store, open_store
from holdfast.store.tools.exporting import export
from holdfast.store.tools.importing import PortableFile
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.file_store import running
from holdfast.testing.fuzzing.samples import KEYS, STREAMS, place
from holdfast.testing.fuzzing.target import require

__all__ = ("exported",)

REFUSALS: Final = (Corrupt, FromTheFuture, InvalidKey)

Held = dict[str, list[tuple[Any, ...]]]


def exported(data: bytes) -> None:
    """A portable file holds what was exported, all of it, or is refused as a whole."""
    dice = Dice(data)
    name = dice.pick(("whole.jsonl", "whole.jsonl.gz"))
    plain, packed, held = _whole()
    given = damaged(dice, packed if name.endswith(".gz") else plain)
    is_forged = dice.chance(2)
    if is_forged:
        given = _forged(damaged(dice, plain))
        given = gzip.compress(given) if name.endswith(".gz") else given
    path = place() / name
    path.write_bytes(given)

    async def read() -> None:
        async with PortableFile(str(path)) as file:
            found = await _held(file)
            require(is_forged or found == held, f"another portfolio: {found!r:.200}")

    try:
        running(read)
    except REFUSALS:
        require(given not in (plain, packed), "refused: a file that nothing happened to")


def _forged(data: bytes) -> bytes:
    """Return a file whose last line fits the others, as far as it says how many there are."""
    lines = data.splitlines(keepends=True)[:-1]
    records = sum(line.startswith(b'{"id"') for line in lines)
    events = sum(line.startswith(b'{"number"') for line in lines)
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    end = f'{{"end":true,"records":{records},"events":{events},"sha256":"{digest}"}}\n'
    return b"".join(lines) + end.encode()


@cache
def _whole() -> tuple[bytes, bytes, Held]:
    """Export a portfolio, plain and packed, and return both files with what is in them."""

    async def make() -> Held:
        async with open_store("memory:") as store:
            await _fill(store)
            return await _held(store)

    async def write(url: str) -> None:
        async with open_store(url) as source:
            await _fill(source)
        with suppress(FileNotFoundError):
            (place() / "made.jsonl").unlink()
        await export(open_store(url), str(place() / "made.jsonl"), clock=_Fixed())

    held = running(make)
    running(lambda: write(f"sqlite:///{place()}/exported.db"))
    # Where it was exported from is another place each time, and inputs are to mean the same.
    plain = _forged((place() / "made.jsonl").read_bytes().replace(str(place()).encode(), b"/srv"))
    return plain, _members(plain), held


async def _fill(store: Store) -> None:
    for number, key in enumerate(KEYS):
        changes: list[Change] = [
            Put(key, {"n": number, "text": "ö" * 40}),
            Append(STREAMS[number % 2], number),
        ]
        await store.commit(changes, commit_id=f"c{number}")


class _Fixed:
    """A clock that stands still."""

    def now(self) -> int:
        return 1_700_000_000_000

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return


def _members(data: bytes) -> bytes:
    """Return a file packed as the writer packs it: a member for each section."""
    sections: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if not sections or line.startswith((b'{"entities"', b'{"stream"')):
            sections.append(b"")
        sections[-1] += line
    packers = [(zlib.compressobj(6, zlib.DEFLATED, 31), section) for section in sections]
    return b"".join(packer.compress(section) + packer.flush() for packer, section in packers)


async def _held(store: Store) -> Held:
    names = await store.names()
    found: Held = {}
    for name in names.entities:
        found[name] = [(one.key.entity_id, one.value, one.version) async for one in store.scan(name)]
    for stream in names.streams:
        found[stream] = [(one.number, one.value, one.version) async for one in store.read(stream)]
    return found
