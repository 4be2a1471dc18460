"""An adapter's own test: what a run relies on. Copy it, and put your adapter in the place of RedisPersist.

REDIS_URL=redis://localhost:6379/0 PYTHONPATH=examples pytest examples/test_redis_adapter.py
"""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis_adapter import RedisPersist

from holdfast.errors import EntityNotFound
from holdfast.persist import AdapterStore
from holdfast.store import Append, Key, Put

WRITER = """
import asyncio, itertools, sys
from redis_adapter import RedisPersist

async def main():
    persist = RedisPersist(sys.argv[1], sys.argv[2])
    await persist.wait_for_init(True)
    for number in itertools.count():
        await persist.write_value("key", {"number": number, "again": number})
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def place():
    """An entity name and a folder of a test's own."""
    return f"test-{uuid4()}", "./logs/test"


@asynccontextmanager
async def opened(place):
    """An adapter, and nothing left of it afterwards."""
    persist = RedisPersist(*place)
    await persist.wait_for_init(True)
    try:
        yield persist
    finally:
        await persist.remove_all()
        await persist.close()


async def listed(found):
    """What an asynchronous iterator yields."""
    return [one async for one in found]


def test_what_is_written_is_read(place):
    async def check():
        async with opened(place) as persist:
            assert not await persist.has_value("key1")
            with pytest.raises(EntityNotFound):
                await persist.read_value("key1")
            for value in ({"data": "value1"}, None, 2**53 + 1, -0.0, "é\u2028\0", [1, 1.0, True, {}]):
                await persist.write_value("key1", value)
                assert repr(await persist.read_value("key1")) == repr(value)
                assert await persist.has_value("key1")
            await persist.remove_value("key1")
            with pytest.raises(EntityNotFound):
                await persist.remove_value("key1")

    asyncio.run(check())


def test_listing_is_in_natural_order_and_of_this_name_only(place):
    async def check():
        name, folder = place
        async with opened(place) as persist, opened((name, f"{folder}/risk")) as other:
            for number in (10, 2, 1):
                await persist.write_value(f"key{number}", number)
            await persist.write_value(7, "seven")
            await other.write_value("key1", "another's")
            assert await listed(persist.keys()) == ["7", "key1", "key2", "key10"]
            assert await listed(persist.values()) == ["seven", 1, 2, 10]
            assert await listed(persist.take(2)) == ["seven", 1]

    asyncio.run(check())


def test_two_at_once_never_leave_half_of_each(place):
    async def check():
        async with opened(place) as persist, opened(place) as other:

            async def write(who, number):
                await who.write_value("key", {"one": number, "two": number})
                found = await who.read_value("key")
                assert found["one"] == found["two"]

            await asyncio.gather(*(write((persist, other)[i % 2], i) for i in range(200)))

    asyncio.run(check())


def test_what_was_written_is_there_after_the_writer_was_killed(place):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, *place]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)][-1]
    writer.kill()
    acknowledged = [acknowledged, *map(int, writer.communicate()[0].split())][-1]

    async def check():
        async with opened(place) as persist:
            found = await persist.read_value("key")
            assert found["number"] in (acknowledged, acknowledged + 1)  # the last one may not have been told
            assert found["again"] == found["number"]

    asyncio.run(check())


def test_a_whole_store_on_it(place, tmp_path):
    """What a run makes of it: commits of several entities, streams, and all of it found again."""

    async def check():
        name, _ = place
        key = Key(f"signal.{name}", "BTCUSDT")
        for turn in (1, 2):
            async with AdapterStore({"signal": RedisPersist}, base_dir=str(tmp_path)) as store:
                [record] = await store.get(key)
                assert (record and record.value) == (None if turn == 1 else {"turn": 1})
                await store.commit([Put(key, {"turn": turn}), Append(f"history.{name}", turn)])
        async with AdapterStore({"signal": RedisPersist}, base_dir=str(tmp_path)) as store:
            assert [event.value async for event in store.read(f"history.{name}")] == [1, 2]

    asyncio.run(check())
