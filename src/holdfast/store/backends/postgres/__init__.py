"""`postgres:`."""

__all__ = ("POINTS",)

POINTS: tuple[str, ...] = ()
"""The crash points of this backend, in no order."""
