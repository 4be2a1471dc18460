"""Adapters as they are commonly published for trading bots, idea by idea: not liars, only never tried.

What the kit says of them is in test_published.py. Each says where its server is by REDIS_URL and MONGO_URL.
"""

import asyncio
import json
import logging
import os
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from holdfast.persist import PersistBase

REDIS: Final = "REDIS_URL"
REPLICA: Final = "REDIS_REPLICA_URL"
MONGO: Final = "MONGO_URL"

log = logging.getLogger(__name__)


class RedisPersist(PersistBase):
    """An entity a key, its JSON by SET."""

    server = REDIS

    def __init__(self, entity_name: str, base_dir: str) -> None:
        super().__init__(entity_name, base_dir)
        self.redis = Redis.from_url(os.environ.get(self.server, "redis://localhost:6379"))

    async def wait_for_init(self, initial: bool = False) -> None:
        log.info("Redis persistence initialized for %s", self.entity_name)

    async def read_value(self, entity_id: str | int) -> Any:
        data = await self.redis.get(f"{self.entity_name}:{entity_id}")
        if not data:
            raise LookupError(f"Entity {self.entity_name}:{entity_id} not found")
        return json.loads(data)

    async def has_value(self, entity_id: str | int) -> bool:
        exists: int = await self.redis.exists(f"{self.entity_name}:{entity_id}")
        return exists == 1

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        await self.redis.set(f"{self.entity_name}:{entity_id}", json.dumps(entity))

    async def close(self) -> None:
        await self.redis.aclose()


class MongoPersist(PersistBase):
    """An entity a document, by an upsert; a collection for each entity name."""

    def __init__(self, entity_name: str, base_dir: str) -> None:
        super().__init__(entity_name, base_dir)
        self.client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            os.environ.get(MONGO, "mongodb://localhost:27017")
        )
        self.collection = self.client["backtest-kit"][entity_name]

    async def wait_for_init(self, initial: bool = False) -> None:
        await self.client.aconnect()
        await self.collection.create_index({"entityId": 1}, unique=True)
        log.info("MongoDB persistence initialized for %s", self.entity_name)

    async def read_value(self, entity_id: str | int) -> Any:
        document = await self.collection.find_one({"entityId": entity_id})
        if not document:
            raise LookupError(f"Entity {self.entity_name}:{entity_id} not found")
        return document["data"]

    async def has_value(self, entity_id: str | int) -> bool:
        return await self.collection.count_documents({"entityId": entity_id}) > 0

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        stamped = {"entityId": entity_id, "data": entity, "updatedAt": datetime.now(UTC)}
        await self.collection.update_one({"entityId": entity_id}, {"$set": stamped}, upsert=True)

    async def close(self) -> None:
        await self.client.close()


class CachedRedisPersist(RedisPersist):
    """A cache in front of Redis, filled by reads and writes."""

    def __init__(self, entity_name: str, base_dir: str) -> None:
        super().__init__(entity_name, base_dir)
        self.cache: dict[str, Any] = {}

    async def read_value(self, entity_id: str | int) -> Any:
        key = str(entity_id)
        if key in self.cache:
            return self.cache[key]
        data = await super().read_value(entity_id)
        self.cache[key] = data
        return data

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        self.cache[str(entity_id)] = entity
        await super().write_value(entity_id, entity)


class ReplicaPersist(RedisPersist):
    """The same, on the server in another region."""

    server = REPLICA


class ReplicatedPersist(PersistBase):
    """Writes to the primary, then to the replicas without waiting for them; reads the primary."""

    def __init__(self, entity_name: str, base_dir: str) -> None:
        super().__init__(entity_name, base_dir)
        self.primary: PersistBase = RedisPersist(entity_name, base_dir)
        self.replicas: list[PersistBase] = [ReplicaPersist(entity_name, base_dir)]
        self.writing: set[asyncio.Task[None]] = set()

    async def wait_for_init(self, initial: bool = False) -> None:
        for adapter in (self.primary, *self.replicas):
            await adapter.wait_for_init(initial)

    async def read_value(self, entity_id: str | int) -> Any:
        return await self.primary.read_value(entity_id)

    async def has_value(self, entity_id: str | int) -> bool:
        return await self.primary.has_value(entity_id)

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        await self.primary.write_value(entity_id, entity)
        for adapter in self.replicas:
            task = asyncio.ensure_future(self.replicate(adapter, entity_id, entity))
            self.writing.add(task)
            task.add_done_callback(self.writing.discard)

    async def replicate(self, adapter: PersistBase, entity_id: str | int, entity: Any) -> None:
        try:
            await adapter.write_value(entity_id, entity)
        except Exception as error:
            log.warning("Replica write failed: %r", error)

    async def close(self) -> None:
        await asyncio.gather(*self.writing)
        for adapter in (self.primary, *self.replicas):
            await adapter.close()
