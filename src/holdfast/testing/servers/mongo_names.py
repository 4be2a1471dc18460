"""Any collection name that mongod takes, on nx-27017, which takes plain ones only: others are kept under a code.

A name that mongod would refuse is refused as there: more than 255 bytes with its database, or with a $ in it.
"""

from collections.abc import Callable
from re import compile
from typing import Any, Final

__all__ = ("coded", "decoded", "naming")

Message = dict[str, Any]
Handle = Callable[[Message], tuple[int, Message]]

PLAIN: Final = compile("(?!c_)[a-z_][a-z0-9_]*")  # small letters: SQLite takes Two and two for one table
LONGEST: Final = 255
COMMANDS: Final = (
    "insert", "find", "update", "delete", "aggregate", "count", "distinct", "createIndexes", "findAndModify", "drop",
)  # fmt: skip


def coded(name: str) -> str:
    """Return what a collection is called inside: plain, and another for each name."""
    return name if PLAIN.fullmatch(name) else f"c_{name.encode().hex()}"


def decoded(name: str) -> str:
    """Return the name of a collection by what it is called inside."""
    return bytes.fromhex(name.removeprefix("c_")).decode() if name.startswith("c_") else name


def naming(handle: Handle) -> Handle:
    """Return `handle`, which is then given plain names only."""

    def named(message: Message) -> tuple[int, Message]:
        body: Message = next((part for kind, part in message["sections"] if kind == "body"), {})
        where = next((word for word in COMMANDS if isinstance(body.get(word), str)), None)
        if "getMore" in body:
            where = "collection"
        if where is None:
            return handle(message)
        if refusal := _refusal(f"{body.get('$db')}.{body[where]}"):
            return message["request_id"], refusal
        body[where] = coded(body[where])
        request, answer = handle(message)
        return request, _renamed(answer)

    return named


def _refusal(place: str) -> Message | None:
    if len(place.encode()) <= LONGEST and "$" not in place:
        return None
    said = f"Invalid namespace specified '{place[:300]}' (gate of the test server)"
    return {"ok": 0, "code": 73, "codeName": "InvalidNamespace", "errmsg": said}


def _renamed(answer: Message) -> Message:
    """Return the answer with the name that was asked for: the driver asks for more under what it is told."""
    cursor = answer.get("cursor")
    if isinstance(cursor, dict) and "." in cursor.get("ns", ""):
        database, _, name = cursor["ns"].partition(".")
        cursor["ns"] = f"{database}.{decoded(name)}"
    return answer
