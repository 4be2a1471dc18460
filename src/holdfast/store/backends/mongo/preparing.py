"""What must be there before the first commit: collections, indexes, and the namespace's own document.

All of it can be done again, by several processes at once, and changes nothing then.
"""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from holdfast import points
from holdfast.errors import Corrupt, FromTheFuture, Unavailable
from holdfast.store.backends.mongo.connection import Connection
from holdfast.store.backends.mongo.documents import COUNTED

__all__ = ("FORMAT", "checked", "prepare")

FORMAT: Final = 1
"""The version of what is written into the collections."""

FORGET: Final = 1200
"""Seconds after which the server removes a commit id. Twice the promised ten minutes: the time is the clock of the
primary that committed, and the clock that removes it may be another member's, some minutes ahead."""

NAMESPACE_EXISTS: Final = 48

INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "records": (IndexModel(["namespace", "entity", "id"], name="key", unique=True),),
    "events": (IndexModel(["namespace", "stream", "number"], name="key", unique=True),),
    "streams": (IndexModel(["namespace", "stream"], name="key", unique=True),),
    "commits": (
        IndexModel(["namespace", "id"], name="key", unique=True),
        IndexModel(["at"], name="forget", expireAfterSeconds=FORGET),
    ),
    "namespaces": (),
}


async def prepare(connection: Connection, namespace: str) -> int:
    """Make what is missing, and return the namespace's head; raises FromTheFuture, Corrupt, Unavailable."""
    await _make_collections(connection)
    for name, indexes in INDEXES.items():
        if indexes:
            await connection.database[name].create_indexes(list(indexes))
    await _make_namespace(connection, namespace)
    points.reached("mongo.prepared")
    document = await connection.majority.find_one({"_id": namespace})
    return checked(document, connection.url.text, namespace)


def checked(document: Mapping[str, Any] | None, url: str, namespace: str) -> int:
    """Return the head in a namespace's document; raises FromTheFuture, Corrupt."""
    found = {} if document is None else document
    version, head = found.get("format"), found.get("head")
    if isinstance(version, int) and version > FORMAT:
        message = f"{url} holds namespace {namespace!r} in format {version}; this Holdfast knows {FORMAT}: upgrade it"
        raise FromTheFuture(message, found=version, known=FORMAT)
    if version != FORMAT or isinstance(head, bool) or not isinstance(head, int) or head > COUNTED:
        reason = f"the document of namespace {namespace!r} has no format and head that make sense"
        raise Corrupt(f"{url}: {reason}; nothing was changed", key=None, reason=reason)
    return head


async def _make_collections(connection: Connection) -> None:
    there = {each["name"]: each async for each in await connection.database.list_collections()}
    for name in INDEXES:
        if name in there:
            _check_order(connection, name, there[name].get("options") or {})
            continue
        try:
            await connection.database.create_collection(name, check_exists=False)
        except CollectionInvalid:
            continue  # another process was faster: it is there
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:
                raise


def _check_order(connection: Connection, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a collection that somebody made with a collation: two ids could meet, and the order be another."""
    if options.get("collation"):
        raise Unavailable(
            f"{connection.url.text}: the collection {name!r} has a collation; ids need the plain order of bytes: "
            "drop it, or name another database",
            unknown=False,
            retryable=False,
        )


async def _make_namespace(connection: Connection, namespace: str) -> None:
    fresh = {"format": FORMAT, "head": 0, "turn": 0}
    try:
        await connection.namespaces.update_one({"_id": namespace}, {"$setOnInsert": fresh}, upsert=True)
    except DuplicateKeyError:
        return  # another process was faster: it is there
