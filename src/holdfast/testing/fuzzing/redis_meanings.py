"""What an answer of a Redis server means, read strictly.

It is told here a second time, slowly and with no leave for anything else, so that what the store makes of an answer
can be held against it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.errors import Corrupt
from holdfast.store import ANY, Change, Event, Key, Record
from holdfast.store.changes import expectations
from holdfast.store.codec import decode
from holdfast.testing.fuzzing.redis_replies import BATCH, KEYS, STREAM

__all__ = ("Nonsense", "became", "events", "gained", "names", "newest", "records", "scanned", "waited")


class Nonsense(Exception):
    """An answer that has no meaning."""


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
