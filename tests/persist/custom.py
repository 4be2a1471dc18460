"""Adapters of four methods as users write them, for the tests: on real files, on a dict, and failing at will."""

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from holdfast.persist import AdapterStore, PersistBase
from holdfast.store import Durability

NEVER = 3600.0  # a heartbeat that does not disturb the counting of writes


class JsonFiles(PersistBase):
    """A JSON file per entity: written aside, flushed, renamed into place, and its folder flushed."""

    durability = Durability.POWER_LOSS

    async def wait_for_init(self, initial: bool = False) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    async def read_value(self, entity_id: str | int) -> Any:
        return json.loads(self._path(entity_id).read_text())

    async def has_value(self, entity_id: str | int) -> bool:
        return self._path(entity_id).exists()

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        handle, aside = tempfile.mkstemp(dir=self._folder, suffix=".aside")
        with os.fdopen(handle, "w") as file:
            json.dump(entity, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._path(entity_id))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @property
    def _folder(self) -> Path:
        return Path(self.base_dir) / plain(self.entity_name)

    def _path(self, entity_id: str | int) -> Path:
        return self._folder / f"{plain(str(entity_id))}.json"


def plain(name: str) -> str:
    short = quote(name, safe="").replace(".", "%2E")
    return short if len(short) < 200 else sha256(name.encode()).hexdigest()


class FakeRedis:
    """As much of a Redis client as a user's adapter needs; it outlives every adapter."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.writes = 0

    async def get(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return self.rows.get(key)

    async def exists(self, key: str) -> int:
        await asyncio.sleep(0)
        return int(key in self.rows)

    async def set(self, key: str, value: str) -> None:
        await asyncio.sleep(0)
        self.writes += 1
        self.rows[key] = value


def redis_adapter(redis: FakeRedis) -> type[PersistBase]:
    """Return an adapter class as a user would write it: it never looks at `base_dir`."""

    class RedisPersist(PersistBase):
        adapter_name = "RedisPersist"

        async def wait_for_init(self, initial: bool = False) -> None:
            pass

        async def read_value(self, entity_id: str | int) -> Any:
            data = await redis.get(f"{self.entity_name}:{entity_id}")
            if data is None:
                raise RuntimeError(f"{self.entity_name}:{entity_id} not found")
            return json.loads(data)

        async def has_value(self, entity_id: str | int) -> bool:
            return await redis.exists(f"{self.entity_name}:{entity_id}") == 1

        async def write_value(self, entity_id: str | int, entity: Any) -> None:
            await redis.set(f"{self.entity_name}:{entity_id}", json.dumps(entity))

    return RedisPersist


class Database:
    """Rows of documents by (entity_name, domain, id), with hooks: what an adapter on it does wrong, and when."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], str] = {}
        self.log: list[tuple[str, str]] = []
        self.before_write: Callable[[str, str], None] = lambda name, entity_id: None
        self.after_write: Callable[[str, str], None] = lambda name, entity_id: None
        self.before_read: Callable[[str, str], None] = lambda name, entity_id: None

    def heal(self) -> None:
        nothing: Callable[[str, str], None] = lambda name, entity_id: None  # noqa: E731
        self.before_write = self.after_write = self.before_read = nothing


def adapter_on(database: Database, name: str = "Custom", durability: Durability | None = None) -> type:
    """Return an adapter class on a database; it shares nothing with PersistBase but its methods' names."""

    class Custom:
        adapter_name = name

        def __init__(self, entity_name: str, base_dir: str) -> None:
            self.entity_name, self.domain = entity_name, base_dir.rpartition("/")[2]

        async def wait_for_init(self, initial: bool) -> None:
            assert initial is True

        async def read_value(self, entity_id: str) -> Any:
            database.before_read(self.entity_name, entity_id)
            return json.loads(database.rows[self.entity_name, self.domain, entity_id])

        async def has_value(self, entity_id: str) -> bool:
            await asyncio.sleep(0)
            return (self.entity_name, self.domain, entity_id) in database.rows

        async def write_value(self, entity_id: str, entity: Any) -> None:
            await asyncio.sleep(0)
            database.before_write(self.entity_name, entity_id)
            database.rows[self.entity_name, self.domain, entity_id] = json.dumps(entity)
            database.log.append((self.entity_name, entity_id))
            database.after_write(self.entity_name, entity_id)

    if durability is not None:
        Custom.durability = durability  # type: ignore[attr-defined]
    return Custom


def on_files(root: Path, **options: Any) -> AdapterStore:
    """Return a store on real files, with its lock in the same folder."""
    return AdapterStore({"signal": JsonFiles}, base_dir=str(root), heartbeat=NEVER, **options)


def failing(times: int, error: Exception, only: str = "") -> Callable[[str, str], None]:
    """Return a hook that raises as many times as told, for ids that start with `only`."""
    left = [times]

    def hook(name: str, entity_id: str) -> None:
        if entity_id.startswith(only) and left[0]:
            left[0] -= 1
            raise error

    return hook
