"""Buy when the fast average crosses above the slow one; take 2 %, give up at 1 % or after a day.

holdfast candles candles.csv
holdfast backtest examples/sma_cross.py --candles BTCUSDT=candles.csv
holdfast live examples/sma_cross.py --candles BTCUSDT=candles.csv
"""

from holdfast import Signal, strategy

FAST, SLOW = 8, 24


@strategy("sma-cross", interval="15m", history=(SLOW + 2) * 15)
def sma_cross(ctx):
    """Asked every 15 minutes while there is no position; None means not now."""
    closes = ctx.candles("15m", SLOW + 1).close
    if len(closes) <= SLOW:
        return None
    above = closes[-FAST:].mean() > closes[-SLOW:].mean()
    was_above = closes[-FAST - 1 : -1].mean() > closes[-SLOW - 1 : -1].mean()
    if was_above or not above:
        return None
    ctx.state["crossings"] = ctx.state.get("crossings", 0) + 1
    return Signal(
        side="long",
        take_profit=ctx.price * 1.02,
        stop_loss=ctx.price * 0.99,
        time_limit=24 * 60,
        cost=1_000,
    )
