"""`repair` of a damaged file store, to be cut off: what was not damaged is there after it has run to its end."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from holdfast.store import Key, Store
from holdfast.store.backends.file.files import parse
from holdfast.store.backends.file.repair import repair
from holdfast.store.backends.file.store import FileStore
from holdfast.testing.explorer.checking import Check
from holdfast.testing.targets.steps import Contents, changes, commit_id, contents, timeline

__all__ = ("Damaged", "check_repaired", "damage", "mend")

WAYS = ("flipped", "missing", "manifest", "cut")


class Damaged(Struct, frozen=True):
    """A store of `commits` commits of a seed, and the key whose file was damaged (None: the manifest was)."""

    seed: str
    commits: int
    key: Key | None


def damage(folder: str, seed: str) -> Damaged:
    """Make a store in `folder`, close it, and damage one of its files."""
    chance = random.Random(f"{seed}/damage")  # noqa: S311  # repeatable on purpose
    commits = chance.randint(6, 14)
    asyncio.run(_commit(_store(folder), seed, commits))
    way, root = chance.choice(WAYS), Path(_base(folder))
    files = sorted(root.glob("*/*.json"))
    if way == "manifest" or not files:
        _flip(root / ".holdfast/manifest")
        return Damaged(seed, commits, None)
    path = chance.choice(files)
    key = parse(path.read_bytes())[0]
    if way == "missing":
        path.unlink()
    elif way == "cut":
        path.write_bytes(path.read_bytes()[:40])
    else:
        _flip(path)
    return Damaged(seed, commits, key)


def mend(folder: str) -> None:
    """Repair the store in `folder`: this is what is traced."""
    repair(_base(folder))


def check_repaired(damaged: Damaged) -> Check:
    """Return the check: repaired once more, the store has all but the damaged key, and that as it was or not at all."""

    def check(folder: Path, marks: Sequence[str]) -> list[str]:
        mend(str(folder))
        found = asyncio.run(_contents(_store(str(folder))))
        wanted = timeline(damaged.seed).after(damaged.commits)
        if damaged.key is not None and damaged.key not in found.records:
            left = {key: value for key, value in wanted.records.items() if key != damaged.key}
            wanted = Contents(left, wanted.streams)
        wrong = found.difference(wanted)
        return [f"after repair: {wrong}"] if wrong else []

    return check


def _base(folder: str) -> str:
    return f"{folder}/made/data"


def _store(folder: str) -> FileStore:
    return FileStore(_base(folder), segment_bytes=16 << 10)


async def _commit(store: Store, seed: str, commits: int) -> None:
    async with store:
        for number in range(1, commits + 1):
            await store.commit(changes(seed, number), commit_id=commit_id(seed, number))


async def _contents(store: Store) -> Contents:
    async with store:
        return await contents(store)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
