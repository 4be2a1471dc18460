"""What a signal is, and what becomes of it: pure functions and frozen structs, without I/O, clock or randomness.

Nothing here knows of stores, exchanges or runs; backtest, paper and live trading all stand on it. The heart is
`lifecycle.step`; around it `signal` and `order` (what is stored), `rules` (what may be asked for), `fills` (what
a market would have done), `pnl` and `risk`. Importing this package alone loads none of them.
"""
