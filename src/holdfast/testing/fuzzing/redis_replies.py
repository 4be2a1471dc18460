"""What a Redis server answers to each of our questions: samples, which a test compares with a real server."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.store import ABSENT, Append, Change, Key, Put

__all__ = ("BATCH", "BEFORE", "GREETING", "KEYS", "READING", "STREAM", "WRITING")

KEYS: Final = (Key("signal.x", "ETH"), Key("signal.x", "none"), Key("risk", "All"), Key("signal.x", "BTC"))
STREAM: Final = "history.x"

BEFORE: Final[Sequence[tuple[str, Sequence[Change]]]] = (
    ("c1", [Put(KEYS[0], {"side": "long", "at": [1, -0.0]}), Append(STREAM, "ö"), Append(STREAM, None)]),
    ("c2", [Put(KEYS[2], 7), Put(KEYS[3], []), Append(STREAM, {"n": 3})]),
)
"""What the server was given, commit by commit, before it was asked."""

BATCH: Final[Sequence[tuple[str, Sequence[Change]]]] = (
    ("c3", [Put(KEYS[0], 1), Append(STREAM, 4)]),
    ("c2", [Put(KEYS[2], 2)]),
    ("c5", [Append(STREAM, 5), Put(KEYS[1], 0), Put(KEYS[3], 3, expect="c1")]),
    ("c6", [Put(KEYS[0], 6, expect=ABSENT)]),
)
"""Commits that it is then given together: a new one, one that it remembers, and two that conflict."""

READING: Final[Mapping[str, Any]] = {
    "GET": [2, 4, b"c1\0\0c2\0c2", [b'{"side":"long","at":[1,-0.0]}\0\x007\0[]']],
    "SCAN": [2, 2, b"BTC\0ETH", b"c2\0c1", [b'[]\0{"side":"long","at":[1,-0.0]}']],
    "EVENTS": [2, 3, b"1-0\x002-0\x003-0", b"c1\0c1\0c2", ['"ö"\0null\0{"n":3}'.encode()]],
    "INDEX entities": [2, 2, b"risk\0signal.x"],
    "INDEX streams": [2, 1, b"history.x"],
    "LAST": [2, 1, b"3-0"],
}
WRITING: Final[Mapping[str, Any]] = {
    "COMMIT": [3, b"+\0=\0!2:c2\0!1:c3"], "WAIT": 1, "WAITAOF": [1, 1],
}  # fmt: skip
INFO: Final = (
    b"# Server\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n"
    b"connected_slaves:1\r\n"
)
GREETING: Final[Mapping[str, Any]] = {
    "BIND": [b"1", b"incarnation", b"2", 1],
    "INFO": INFO,
    "CONFIG GET appendonly": [b"appendonly", b"yes"],
    "CONFIG GET appendfsync": [b"appendfsync", b"always"],
    "CONFIG GET no-appendfsync-on-rewrite": [b"no-appendfsync-on-rewrite", b"no"],
    "EXISTS": 1,
    "ASKING": b"OK",
    "SENTINEL GET-MASTER-ADDR-BY-NAME main": [b"127.0.0.1", b"6379"],
}
