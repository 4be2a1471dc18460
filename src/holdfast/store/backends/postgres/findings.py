"""What an acknowledged commit survives on this server, read from its settings and not hoped.

`fsync` off: nothing is known to be on the disk, and a crash of the machine may damage all of it. `synchronous_commit`
off: answers come before the flush, so that a `kill -9` of the server loses them too. `local`, `on` and stronger:
flushed, which survives a power cut if `full_page_writes` mends torn pages. A standby that must have flushed (`on`,
`remote_apply`) before the answer: the loss of the whole server. `remote_write` only hands it to the standby's kernel.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from holdfast.store.base import Durability

__all__ = ("Findings", "findings", "findings_of")

SETTINGS: Final = ("fsync", "full_page_writes", "synchronous_commit", "standbys")

FSYNC: Final = (
    "fsync = off: a power cut or a crash of its machine loses acknowledged commits, and may damage everything. "
    "Turn it on"
)
COMMIT: Final = (
    "synchronous_commit = off: commits are acknowledged before they are flushed, and a crash of the server loses "
    "them. Turn it on, or use ?synchronous_commit=on"
)
PAGES: Final = "full_page_writes = off: a power cut may tear pages, unless its file system never does"
REMOTE_WRITE: Final = (
    "synchronous_commit = remote_write: a standby acknowledges before it has flushed; use on or remote_apply to "
    "survive a failover"
)


class Findings(Struct, frozen=True):
    """What a server promises: the class, one sentence for each weakness, and the settings it was read from."""

    durability: Durability
    warnings: tuple[str, ...]
    settings: str


def findings_of(row: Mapping[str, Any]) -> Findings:
    """Return what the settings of a new connection promise."""
    return findings("|".join(row[name] for name in SETTINGS))


def findings(settings: str) -> Findings:
    """Return what the settings that a commit reports promise: four, joined by bars, in the order of `SETTINGS`."""
    fsync, pages, commit, standbys = settings.split("|", 3)
    if fsync == "off":
        return _found(Durability.NONE, settings, FSYNC)
    if commit == "off":
        return _found(Durability.NONE, settings, COMMIT)
    if pages == "off":
        return _found(Durability.PROCESS_CRASH, settings, PAGES)
    if not standbys.strip() or commit == "local":
        return _found(Durability.POWER_LOSS, settings)
    if commit == "remote_write":
        return _found(Durability.POWER_LOSS, settings, REMOTE_WRITE)
    return _found(Durability.FAILOVER, settings)


def _found(durability: Durability, settings: str, *warnings: str) -> Findings:
    return Findings(
        durability, tuple(f"the PostgreSQL server has {warning}" for warning in warnings), settings
    )
