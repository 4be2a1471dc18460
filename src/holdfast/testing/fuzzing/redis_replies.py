"""What a Redis server answers to each of our questions, what becomes of it, and what the answers mean, read strictly.

The samples are those of a real server, to which a test compares them. The meaning is told here a second time, slowly
and with no leave for anything else, so that what the store makes of an answer can be held against it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.errors import Corrupt
from holdfast.store import ABSENT, ANY, Append, Change, Event, Key, Put, Record
from holdfast.store.changes import expectations
from holdfast.store.codec import decode
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.redis_wire import Refusal

__all__ = (
    "BATCH", "BEFORE", "GREETING", "KEYS", "READING", "STREAM", "WRITING", "Nonsense", "became", "events", "gained",
    "harmed", "names", "newest", "records", "scanned", "waited",
)  # fmt: skip

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

ODD: Final[Sequence[Any]] = (
    None, 0, 1, -1, 2**63 - 1, 10**30, b"", b"\0", b"x", b"0", b"1", b"\xff", b"+", b"=", b"!0:", b"!9:x", b"!x:y",
    b"null", b"9" * 5000, "²".encode(), [], [[]], [None], [b""], [0], [[b"x"], 1], b"\0" * 3, b"OK",
    *map(Refusal, (
        "ERR no", "OOM command not allowed when used memory > 'maxmemory'.", "WENTBACK 3", f"WENTBACK {'9' * 5000}",
        "MOVED 1 127.0.0.1:7001", "ASK 1 127.0.0.1:7001", "MOVED 1", "ASK 1 :0", "MOVED 1 h:99999999", "NOSCRIPT No",
        "LOADING is", "READONLY You", "WRONGTYPE key", "NOPERM no", "", "ERR invalid password", "CROSSSLOT keys",
    )),
)  # fmt: skip


class Nonsense(Exception):
    """An answer that has no meaning."""


def harmed(dice: Dice, value: Any) -> Any:
    """Return an answer with something in it, at times all, that is another value of any type of RESP."""
    if isinstance(value, list) and value and dice.below(4):
        at = dice.below(len(value))
        match dice.below(8):
            case 5:
                return value[:at] + value[at + 1 :]
            case 6:
                return [*value[:at], value[at], *value[at:]]
            case 7:
                return [*value[:at], dice.pick(ODD), *value[at:]]
        return [*value[:at], harmed(dice, value[at]), *value[at + 1 :]]
    match dice.below(4):
        case 1:
            return (
                value.encode()
                if isinstance(value, str)
                else b"%d" % value
                if isinstance(value, int)
                else [value]
            )
        case 2 if isinstance(value, bytes):
            return damaged(dice, value)
    return dice.pick(ODD)


def records(answer: Any) -> list[Record | None]:
    """Return what the answer to GET means for `KEYS`."""
    _, versions, values = _columns(answer, len(KEYS), 2)
    return [
        _record(key, version, value) if version or value else None
        for key, version, value in zip(KEYS, versions, values, strict=True)
    ]


def scanned(answer: Any) -> list[Record]:
    """Return what the answer to SCAN means for the entity name of the first key."""
    _, ids, versions, values = _columns(answer, None, 3)
    name = KEYS[0].entity_name
    return [
        _record(Key(name, _text(each)), version, value)
        for each, version, value in zip(ids, versions, values, strict=True)
    ]


def events(answer: Any) -> list[Event]:
    """Return what the answer to EVENTS means for the stream, asked from its first."""
    _, numbers, versions, values = _columns(answer, None, 3)
    if numbers != [b"%d-0" % number for number in range(1, len(numbers) + 1)] or not all(versions):
        raise Nonsense("numbers")
    return [
        Event(STREAM, number, _value(value), _text(version))
        for number, (version, value) in enumerate(zip(versions, values, strict=True), 1)
    ]


def names(answer: Any) -> tuple[str, ...]:
    """Return what the answer to INDEX means."""
    return tuple(map(_text, _columns(answer, None, 1)[1]))


def newest(answer: Any) -> int:
    """Return what the answer to LAST means."""
    _, found = _columns(answer, None, 1)
    if not found:
        return 0
    if len(found) > 1 or not re.fullmatch(rb"[0-9]{1,19}-0", found[0]):
        raise Nonsense("a number")
    return int(found[0].partition(b"-")[0])


def became(answer: Any) -> list[str | None]:
    """Return what the answer to COMMIT means for each of `BATCH`: done, conflict, failed, None (not told)."""
    if (
        not isinstance(answer, list)
        or len(answer) != 2
        or not _counts(answer[0])
        or type(answer[1]) is not bytes
    ):
        raise Nonsense("no outcomes")
    parts = answer[1].split(b"\0")
    if len(parts) != len(BATCH):
        raise Nonsense("not one outcome each")
    return [_outcome(part, changes) for part, (_, changes) in zip(parts, BATCH, strict=True)]


def waited(replicas: Any, disks: Any) -> bool:
    """Whether the answers to WAIT and WAITAOF say that one replica has it, on its disk, too."""
    if type(replicas) is not int or not isinstance(disks, list) or len(disks) != 2:
        return False
    return all(type(count) is int and count >= 1 for count in (replicas, *disks))


def gained(answers: Mapping[str, Any], *, watched: bool) -> bool:
    """Whether a greeting allows for commits that survive a power cut, or raise Nonsense where it allows for none."""
    info, bound = answers["INFO"], answers["BIND"]
    if (
        type(info) is not bytes
        or not isinstance(bound, list)
        or [type(one) for one in bound] != [bytes] * 3 + [int]
    ):
        raise Nonsense("a greeting")
    facts = dict(line.partition(b":")[::2] for line in info.splitlines())
    form, incarnation, head, remembers = bound
    if not (form.lstrip(b"0") == b"1" and head.isdigit() and len(head) < 19 and incarnation and remembers):
        raise Nonsense("a namespace")
    _text(incarnation)
    if facts.get(b"role", b"").strip() != b"master":
        raise Nonsense("a replica")
    found = [
        _setting(answers[f"CONFIG GET {name}"])
        for name in ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")
    ]
    on = facts.get(b"aof_enabled", b"").strip() == b"1" or found[0] == b"yes"
    on = on and found[0] != b"no" and facts.get(b"aof_enabled", b"").strip() != b"0"
    return on and found[1:] == [b"always", b"no"]


def _setting(answer: Any) -> bytes | None:
    if isinstance(answer, list) and len(answer) == 2 and type(answer[1]) is bytes:
        return bytes(answer[1])
    return None


def _outcome(part: bytes, changes: Sequence[Change]) -> str | None:
    if part in (b"+", b"="):
        return "done"
    found = re.fullmatch(rb"!([0-9]{1,9}):(.*)", part, re.DOTALL)
    expected = expectations(changes)
    if found is None or int(found[1]) >= len(expected) or expected[int(found[1])][1] is ANY:
        return None
    try:
        found[2].decode()
    except UnicodeDecodeError:
        return "failed"
    return "conflict"


def _columns(answer: Any, count: int | None, columns: int) -> list[Any]:
    """Return head and columns of an answer; the last of three is joined in pieces."""
    if not isinstance(answer, list) or len(answer) != 2 + columns or not all(map(_counts, answer[:2])):
        raise Nonsense("no columns")
    head, told, *parts = answer
    if columns > 1:
        if not isinstance(parts[-1], list) or any(type(piece) is not bytes for piece in parts[-1]):
            raise Nonsense("no pieces")
        parts[-1] = b"\0".join(parts[-1])
    if any(type(part) is not bytes for part in parts) or (count is not None and told != count):
        raise Nonsense("no text")
    split = [part.split(b"\0") if told or part else [] for part in parts]
    if any(len(part) != told for part in split):
        raise Nonsense("not as many as there are")
    return [head, *split]


def _counts(value: Any) -> bool:
    return type(value) is int


def _record(key: Key, version: bytes, value: bytes) -> Record:
    if not version or not value:
        raise Nonsense("half a record")
    return Record(key, _value(value), _text(version))


def _value(data: bytes) -> Any:
    try:
        return decode(data)
    except Corrupt as error:
        raise Nonsense("no JSON") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Nonsense("no UTF-8") from error
