"""`sqlite:`: one file for several processes, durable through power loss, and open to anyone's SQL."""

from typing import Final

__all__ = ("POINTS",)

POINTS: Final = (
    "sqlite.began",
    "sqlite.checkpointed",
    "sqlite.committed",
    "sqlite.image-written",
    "sqlite.linked",
    "sqlite.opened",
    "sqlite.written",
)
"""The crash points of this backend, in no order."""
