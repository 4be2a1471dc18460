"""An adapter of your own: a strategy's state in Redis. Each entity name is a hash, each entity a field of it.

So the four methods are a command each, nothing ever looks through the whole database, and listing is HSCAN: pages,
ids and values together, no call per key. live_on_redis.py registers it, test_redis_adapter.py tests it. (Without an
adapter, `use_store("redis://…")` does more: one commit for all domains, several processes.)
"""

import json
import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from holdfast import PersistBase
from holdfast.errors import EntityNotFound
from holdfast.persist.base import natural
from holdfast.store import Durability


class RedisPersist(PersistBase):
    """The entities of one name and folder, in one hash."""

    url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    durability = Durability.POWER_LOSS  # where the server says so too: wait_for_init looks

    def __init__(self, entity_name, base_dir="./logs/data"):
        super().__init__(entity_name, base_dir)
        # Both: a strategy and a risk profile may have the same name, and differ in the folder alone.
        self.place = json.dumps([base_dir, entity_name])
        # No retries by the driver: it would send a write again that may have been done, over a newer one.
        self.redis = Redis.from_url(
            self.url, decode_responses=True, socket_timeout=10, retry=Retry(NoBackoff(), 0)
        )

    async def wait_for_init(self, initial=False):
        """Connect, and see how durable a write is here; raises where the server cannot be reached."""
        config = await self.redis.config_get("appendonly", "appendfsync")
        if config["appendonly"] != "yes":
            self.durability = Durability.NONE
        elif config["appendfsync"] != "always":
            self.durability = Durability.PROCESS_CRASH

    async def read_value(self, entity_id):
        """Return the entity; raises EntityNotFound where it is absent."""
        text = await self.redis.hget(self.place, str(entity_id))
        if text is None:
            raise EntityNotFound(f"there is no {entity_id!r} in {self.place}")
        return json.loads(text)

    async def has_value(self, entity_id):
        """Whether the entity is there, be it None."""
        return await self.redis.hexists(self.place, str(entity_id))

    async def write_value(self, entity_id, entity):
        """Set the entity, in one step."""
        await self.redis.hset(self.place, str(entity_id), json.dumps(entity, allow_nan=False))

    async def remove_value(self, entity_id):
        """Make the entity absent; raises EntityNotFound where it already is."""
        if not await self.redis.hdel(self.place, str(entity_id)):
            raise EntityNotFound(f"there is no {entity_id!r} in {self.place}")

    async def remove_all(self):
        """Make all of them absent, in one step; the memory is given back in the background."""
        await self.redis.unlink(self.place)

    async def keys(self):
        """Yield the ids in natural order."""
        for entity_id in sorted(await self._texts(), key=natural):
            yield entity_id

    async def values(self):
        """Yield the entities in natural order of their ids."""
        texts = await self._texts()
        for entity_id in sorted(texts, key=natural):
            yield json.loads(texts[entity_id])

    async def _texts(self):
        # A scan may show a field twice while the hash grows: a dict takes care of it.
        return {name: text async for name, text in self.redis.hscan_iter(self.place, count=1_000)}

    async def close(self):
        """Close the connections."""
        await self.redis.aclose()
