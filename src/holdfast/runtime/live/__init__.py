"""Live runs: one loop over all seats, and the recovery that makes an interruption invisible."""

__all__ = ("POINTS",)

POINTS = (
    "live.candles-received",
    "live.carried-out",
    "live.committed",
    "live.decided",
    "live.store-reopening",
    "orders.looked-up",
    "orders.outcome-committed",
    "orders.renewed",
    "orders.sending",
    "orders.sent",
    "orders.settled",
    "start.bound",
    "start.committed",
    "start.settled",
)
"""The crash points of a live run, in no order."""
