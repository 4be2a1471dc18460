"""Signals in Redis, where they are quick to look at; risk, state and history in PostgreSQL, where they are kept.

holdfast candles candles.csv
python examples/hybrid_storage.py candles.csv redis://localhost:6379/0 postgresql://me@localhost/bot

A step that changes both is written ahead, and finished after a crash: whole again, though not at one instant, and as
durable as the weaker of the two. One store for everything does it at one instant.
"""

import asyncio
import sys

import sma_cross  # noqa: F401  # registers the strategy

from holdfast import Live, PersistSignalAdapter, open_store, use_store
from holdfast.persist import DEFAULT


async def main(candles, redis, postgres):
    """Say what is where before anything runs, then trade until the candles end."""
    DEFAULT.base_dir = "./logs/hybrid_storage"  # which store serves what is noted here
    use_store(postgres)
    PersistSignalAdapter.use_persist_signal_adapter(open_store(redis).persist)
    async for event in Live.run("BTCUSDT", strategy_name="sma-cross", candles=candles):
        print(event)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
