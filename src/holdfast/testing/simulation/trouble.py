"""One thing that goes wrong in a run, and where a bot may be when it does."""

from typing import Final, Literal

from msgspec import Struct

__all__ = ("KINDS", "PLACES", "PLACES_OF_REPLICATION", "Trouble", "What")

What = Literal[
    "kill", "power", "pause", "suspend", "clock", "full", "flush", "apart", "down", "back", "restore", "rows",
    "promote", "lose", "lose answer", "cut", "cut answer", "delay", "delay answer", "repeat",
]  # fmt: skip

PLACES: Final = (
    "checkpoint.files-flushed", "checkpoint.manifest-renamed", "checkpoint.manifest-written", "files.renamed",
    "files.temp-written", "journal.acknowledged", "journal.flushed", "journal.frame-written", "lease.renewed",
    "lease.taken", "live.candles-received", "live.carried-out", "live.committed", "live.decided", "open.locked",
    "open.replayed", "open.segment-copied", "open.switched", "orders.looked-up", "orders.outcome-committed",
    "orders.renewed", "orders.sending", "orders.sent", "orders.settled", "segment.created", "segment.named",
    "start.bound", "start.committed", "start.settled", "streams.appended",
)  # fmt: skip
PLACES_OF_REPLICATION: Final = (
    "replicated.acknowledged", "replicated.applied", "replicated.claimed", "replicated.committed",
    "replicated.copied", "replicated.enabled", "replicated.registered", "replicated.seeded", "replicated.trimmed",
)  # fmt: skip
KINDS: Final = ("submit", "submit", "lookup", "cancel", "candles", "")


class Trouble(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that goes wrong: at a time `at`, or as a bot reaches a `point` (or call of the disk) the `nth` time.

    Those of the network meet the `nth` request of a kind to a server, `on` ("exchange/submit"). `seconds` is how long
    it lasts, or by how much a clock is set. A store that goes `back` loses its `nth` newest commits, and a machine that
    is to `restore` its files gets those of `seconds` before. An operator begins to `promote` the replica `seconds`
    later, because the primary is "lost" for good or to "switch", and is killed at the `nth` request on the way.
    """

    what: What
    bot: int = 0
    at: float = 0.0
    point: str = ""
    nth: int = 0
    on: str = ""
    seconds: float = 0.0
