"""`redis:`, `rediss:`, `unix:`, Sentinel and Cluster: a commit is one script, a namespace is one hash slot."""

__all__ = ("POINTS",)

POINTS: tuple[str, ...] = ("redis.sending", "redis.answered")
"""The crash points of this backend, in no order."""
