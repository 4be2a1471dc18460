"""The MongoDB store: documents that a person can query, commits in transactions of a replica set."""

from typing import Final

__all__ = ("POINTS",)

POINTS: Final = (
    "mongo.committed",
    "mongo.locked",
    "mongo.prepared",
    "mongo.staged",
)
"""Every instant of this store that `holdfast.points.reached` is told of."""
