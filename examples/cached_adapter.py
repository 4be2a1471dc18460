"""Read often, ask Redis seldom: a cache around an adapter, for a program that watches (a dashboard, a report).

python examples/cached_adapter.py redis://localhost:6379/0

Let a run have RedisPersist itself: what it decides on should be what is there, not what was. A store needs no class for
this, since `open_store("redis://…?cache=10000&cache_max_age=5")` is one, and a run reads past it by itself.
"""

import asyncio
import json
import sys
import time
from collections import OrderedDict

from redis_adapter import RedisPersist

SIZE, MAX_AGE = 10_000, 5.0


class CachedRedisPersist(RedisPersist):
    """Remembers `SIZE` entities for `MAX_AGE` seconds: so long, another process's write may go unseen."""

    def __init__(self, entity_name, base_dir="./logs/data"):
        super().__init__(entity_name, base_dir)
        self.known = OrderedDict()
        self.writes = 0

    async def read_value(self, entity_id):
        """Return the entity, from memory if it was read or written lately; a value of the caller's own."""
        text, until = self.known.get(str(entity_id), (None, 0.0))
        if text is None or time.monotonic() >= until:
            text = await self._asked(entity_id)
        return json.loads(text)

    async def write_value(self, entity_id, entity):
        """Set the entity in Redis first; only what Redis has is remembered."""
        text, began = json.dumps(entity), time.monotonic()
        write = await self._changed(entity_id, super().write_value(entity_id, entity))
        if write == self.writes:  # else another one came in between, and either may have been the last
            self._remember(entity_id, text, began)

    async def remove_value(self, entity_id):
        """Make the entity absent; raises EntityNotFound where it already is."""
        await self._changed(entity_id, super().remove_value(entity_id))

    async def remove_all(self):
        """Make all of them absent."""
        self.known.clear()
        await self._changed("", super().remove_all())

    async def _changed(self, entity_id, change):
        self.writes += 1
        ends = self.writes + 1
        self.known.pop(str(entity_id), None)  # first: where this fails, nobody knows what is there
        try:
            await change
        finally:
            self.writes += 1
        return ends

    async def _asked(self, entity_id):
        began, writes = time.monotonic(), self.writes
        text = json.dumps(await super().read_value(entity_id))
        if writes == self.writes:  # else this may be from before that write
            self._remember(entity_id, text, began)
        return text

    def _remember(self, entity_id, text, began):
        self.known[str(entity_id)] = text, began + MAX_AGE
        self.known.move_to_end(str(entity_id))
        if len(self.known) > SIZE:
            self.known.popitem(last=False)


async def main(url):
    """Read one entity two thousand times."""
    RedisPersist.url = url
    for kind in (RedisPersist, CachedRedisPersist):
        async with kind("cached-example", "./logs/data/notes") as persist:
            await persist.write_value("BTCUSDT", {"note": "seen often"})
            began = time.perf_counter()
            for _ in range(2_000):
                await persist.read_value("BTCUSDT")
            print(f"{kind.__name__}: {time.perf_counter() - began:.2f} s for 2,000 reads")
            await persist.remove_all()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
