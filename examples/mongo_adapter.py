"""An adapter of your own: a strategy's state in MongoDB, a document per entity, which you can query.

    PersistSignalAdapter.use_persist_signal_adapter(MongoPersist)       # as live_on_redis.py does with RedisPersist

One collection for all, under a unique index; each method is one command. A write returns when a majority of the
replica set has it in its journal. (Without an adapter, `use_store("mongodb://…")` does more: transactions.)
"""

import json
import os
from datetime import UTC, datetime

from pymongo import AsyncMongoClient, WriteConcern

from holdfast import PersistBase
from holdfast.errors import EntityNotFound
from holdfast.persist.base import natural
from holdfast.store import Durability


class MongoPersist(PersistBase):
    """The entities of one name and folder, in the collection `entities`."""

    url = os.environ.get("MONGODB_URL", "mongodb://localhost:27017/holdfast")
    durability = Durability.POWER_LOSS

    def __init__(self, entity_name, base_dir="./logs/data"):
        super().__init__(entity_name, base_dir)
        self.place = f"{base_dir}:{entity_name}"
        self.client = AsyncMongoClient(self.url, timeoutMS=10_000)
        database = self.client.get_default_database("holdfast")
        self.entities = database.get_collection("entities", write_concern=WriteConcern("majority", j=True))

    async def wait_for_init(self, initial=False):
        """Make the index that keeps an entity one document; raises where the server cannot be reached."""
        await self.entities.create_index([("place", 1), ("id", 1)], unique=True)

    async def read_value(self, entity_id):
        """Return the entity; raises EntityNotFound where it is absent."""
        found = await self.entities.find_one(self._one(entity_id), {"data": 1})
        if found is None:
            raise self._absent(entity_id)
        return plain(found["data"])

    async def has_value(self, entity_id):
        """Whether the entity is there, be it None; the value stays where it is."""
        return await self.entities.find_one(self._one(entity_id), {"_id": 1}) is not None

    async def write_value(self, entity_id, entity):
        """Set the entity, in one step."""
        document = {**self._one(entity_id), "data": entity, "updated_at": datetime.now(UTC)}
        await self.entities.replace_one(self._one(entity_id), document, upsert=True)

    async def remove_value(self, entity_id):
        """Make the entity absent; raises EntityNotFound where it already is."""
        done = await self.entities.delete_one(self._one(entity_id))
        if not done.deleted_count:
            raise self._absent(entity_id)

    async def remove_all(self):
        """Make all of them absent, in one command."""
        await self.entities.delete_many({"place": self.place})

    async def keys(self):
        """Yield the ids in natural order; no value is sent."""
        found = self.entities.find({"place": self.place}, {"id": 1})
        for entity_id in sorted([document["id"] async for document in found], key=natural):
            yield entity_id

    async def values(self):
        """Yield the entities in natural order of their ids."""
        found = self.entities.find({"place": self.place}, {"id": 1, "data": 1})
        entities = {document["id"]: document["data"] async for document in found}
        for entity_id in sorted(entities, key=natural):
            yield plain(entities[entity_id])

    async def close(self):
        """Close the connections."""
        await self.client.close()

    def _one(self, entity_id):
        return {"place": self.place, "id": str(entity_id)}

    def _absent(self, entity_id):
        return EntityNotFound(f"there is no {entity_id!r} in {self.place}")


def plain(value):
    """Return a value as it was before it was BSON, whose whole numbers of 64 bits are of a type of its own."""
    return json.loads(json.dumps(value))
