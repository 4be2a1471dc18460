"""Every target by name."""

from collections.abc import Mapping
from typing import Final

__all__ = ("CONTROLS", "EXTRAS", "TARGETS")

_HERE: Final = "holdfast.testing.fuzzing"

TARGETS: Final[Mapping[str, str]] = {
    "file.read": f"{_HERE}.file_store:read",
    "file.opened": f"{_HERE}.file_store:opened",
    "file.verified": f"{_HERE}.file_store:verified",
    "file.repaired": f"{_HERE}.file_store:repaired",
    "file.segment": f"{_HERE}.file_parts:segment",
    "file.envelope": f"{_HERE}.file_parts:envelope",
    "file.manifest": f"{_HERE}.file_parts:manifest",
    "file.stream": f"{_HERE}.file_parts:stream",
    "file.lock": f"{_HERE}.file_parts:lock",
    "file.name": f"{_HERE}.file_parts:name",
    "sqlite.file": f"{_HERE}.databases:sqlite_file",
    "sqlite.rows": f"{_HERE}.databases:sqlite_rows",
    "postgres.rows": f"{_HERE}.rows:postgres_rows",
    "redis.reads": f"{_HERE}.redis_answers:reads",
    "redis.commits": f"{_HERE}.redis_answers:commits",
    "redis.greeting": f"{_HERE}.redis_answers:greeting",
    "mongo.documents": f"{_HERE}.rows:mongo_documents",
    "value": f"{_HERE}.documents:value",
    "entity": f"{_HERE}.documents:entity",
    "adapter.store": f"{_HERE}.adapters:adapter_store",
    "adapter.note": f"{_HERE}.adapters:note",
    "adapter.row": f"{_HERE}.documents:adapter_row",
    "replicated": f"{_HERE}.documents:replicated",
    "encrypted": f"{_HERE}.documents:encrypted",
    "encrypted.keys": f"{_HERE}.documents:keys",
    "candles": f"{_HERE}.market:candles",
    "times": f"{_HERE}.market:times",
    "url": f"{_HERE}.urls:url",
    "url.password": f"{_HERE}.urls:password",
    "http.answers": f"{_HERE}.http:answers",
    "http.requests": f"{_HERE}.http:requests",
    "words": f"{_HERE}.words:taken_apart",
    "words.looking": f"{_HERE}.words:looking",
    "strace": f"{_HERE}.traces:strace_log",
    "killed": f"{_HERE}.traces:child_log",
    "exported": f"{_HERE}.exported:exported",
}

EXTRAS: Final = ("mongo", "redis")
"""What brings the drivers whose answers are fed."""

CONTROLS: Final[Mapping[str, str]] = {
    **{name: f"{_HERE}.controls:{name}" for name in ("believing", "forgetful", "raw")},
    "careless": f"{_HERE}.redis_answers:careless",
    "hopeful": f"{_HERE}.redis_answers:hopeful",
}
"""Readers with a bug, which must be found."""
