"""Rest a limit order below the market, on a desk of its own: one position at a time, over all symbols.

holdfast candles btc.csv --seed 1
holdfast candles eth.csv --seed 2 --price 2500
holdfast backtest examples/dip.py:desk --candles BTCUSDT=btc.csv --candles ETHUSDT=eth.csv
"""

from holdfast import Cancel, Desk, Signal

desk = Desk()
desk.add_risk("careful", max_positions=1)


def manage(ctx):
    """Asked each minute while there is a signal: give up an entry that the market has run away from."""
    waiting = ctx.position is None
    if waiting and ctx.price > ctx.signal.entry_price * 1.02:
        return Cancel(note="the market has left")
    return None


@desk.strategy("dip", interval="1h", manage=manage, risk="careful")
def dip(ctx):
    """Asked each hour while there is none: buy 1 % below the mean of the last day."""
    closes = ctx.candles("1h", 24).close
    if len(closes) < 24:
        return None
    entry = min(closes.mean(), ctx.price) * 0.99
    return Signal(
        side="long",
        entry_price=entry,
        take_profit=entry * 1.015,
        stop_loss=entry * 0.985,
        time_limit=12 * 60,
        cost=500,
    )
