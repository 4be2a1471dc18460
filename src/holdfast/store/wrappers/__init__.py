"""Wrappers: stores around a store, each of which does one thing; asked for by call or in the URL's query.

from holdfast.store import cached, encrypted, observed, replicated
"""

__all__ = ("POINTS",)

POINTS: tuple[str, ...] = ()
"""The crash points of the wrappers, in no order."""
