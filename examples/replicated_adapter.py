"""A second copy elsewhere, for the day the first one is gone.

python examples/replicated_adapter.py redis://localhost:6379/0 file:./logs/spare

An adapter that writes to a primary and then, without waiting, to replicas loses every write that a replica missed:
nobody knows of it any more. Here what a replica is owed is recorded in the primary, in the same commit, so that it
catches up after any outage, of the replica or of this process. Its views are registered like any adapter:

    PersistSignalAdapter.use_persist_signal_adapter(store.persist)
"""

import asyncio
import sys

from holdfast.store import open_store, replicated


async def main(primary, *replicas):
    """Write a hundred signals, and compare the copies."""
    store = replicated(open_store(primary), [open_store(url) for url in replicas])
    async with store:
        signals = store.persist("my-strategy", "./logs/replicated/signal")
        for number in range(100):
            await signals.write_value(f"SYMBOL{number}", {"side": "long", "number": number})
        for lag in await store.lag():
            print(lag)
        await store.caught_up()
        for verified in await store.verify():
            print(verified)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
