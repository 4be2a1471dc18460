"""Live, on paper, with all state in Redis through an adapter of your own. Kill it, and start it again.

holdfast candles candles.csv
python examples/live_on_redis.py candles.csv redis://localhost:6379/0
"""

import sys

import sma_cross  # noqa: F401  # registers the strategy
from redis_adapter import RedisPersist

from holdfast import Live, PersistRiskAdapter, PersistSignalAdapter
from holdfast.persist import DEFAULT


def main(candles, url):
    """Register the adapter before anything runs, then trade in the background until the candles end."""
    DEFAULT.base_dir = (
        "./logs/live_on_redis"  # which adapter serves what is noted here: not where files have theirs
    )
    RedisPersist.url = url
    PersistSignalAdapter.use_persist_signal_adapter(RedisPersist)  # and for what has no adapter of its own
    PersistRiskAdapter.use_persist_risk_adapter(RedisPersist)
    run = Live.background("BTCUSDT", strategy_name="sma-cross", candles=candles, on_event=print)
    run.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
