"""The file store: a journal that makes commits durable, and entity files that a person can read."""

from typing import Final

__all__ = ("POINTS",)

POINTS: Final = (
    "checkpoint.files-flushed",
    "checkpoint.manifest-renamed",
    "checkpoint.manifest-written",
    "checkpoint.segments-dropped",
    "files.renamed",
    "files.temp-written",
    "journal.acknowledged",
    "journal.flushed",
    "journal.frame-written",
    "open.locked",
    "open.replayed",
    "open.segment-copied",
    "open.switched",
    "segment.created",
    "segment.named",
    "streams.appended",
)
"""Every instant of this store that `holdfast.points.reached` is told of."""
