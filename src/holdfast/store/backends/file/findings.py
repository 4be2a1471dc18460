"""What was found that should not be: reported by open, by verify and by repair, never mended in silence."""

from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.store.base import Key

__all__ = ("Finding", "broken", "corrupt_store")


class Finding(Struct, frozen=True):
    """One thing that is not as it should be, where, and why.

    `kind` is one of torn (an unacknowledged last batch), damaged, missing, stale (older or newer than the
    store knows), unknown (nothing says it belongs here), restored (mended from the journal or manifest),
    quarantined (moved aside by repair).
    """

    kind: str
    path: str
    reason: str
    key: Key | None = None
    stream: str | None = None


def broken(key: Key, finding: Finding) -> Corrupt:
    """Return the error for using a key whose file cannot be trusted."""
    message = f"{key} cannot be trusted: {finding.path} {finding.reason}; run `holdfast store repair`"
    return Corrupt(message, key=key, reason=finding.reason, path=finding.path)


def corrupt_store(path: str, reason: str) -> Corrupt:
    """Return the error for a store that cannot be opened at all."""
    message = (
        f"{path} {reason}; nothing was changed. Run `holdfast store verify`, then `holdfast store repair`"
    )
    return Corrupt(message, key=None, reason=reason, path=path)
