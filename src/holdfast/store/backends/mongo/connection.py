"""One client of the driver, and the collections of a database with the concerns that our promises need."""

from typing import Any, Final

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from holdfast.errors import InvalidOption
from holdfast.store.backends.mongo.errors import failure
from holdfast.store.backends.mongo.events import Connections
from holdfast.store.backends.mongo.options import client_options, database_name, host
from holdfast.store.url import StoreUrl

__all__ = ("COMMITTED", "DURABLE", "Collection", "Connection", "Session")

Collection = AsyncCollection[dict[str, Any]]
Session = AsyncClientSession

DURABLE: Final = WriteConcern("majority", j=True)
"""A commit is acknowledged when a majority of the voting members has it in its journal."""

COMMITTED: Final = ReadConcern("snapshot")
"""One point in time, of what a majority has: what is read cannot be rolled back."""


class Connection:
    """The driver's client between `open` and `close`, and our collections; `seen` counts its connections.

    `majority` are the namespaces, for one document that may just have been made: no snapshot may have it yet.
    """

    def __init__(self, url: StoreUrl) -> None:
        self.url = url
        self.seen = Connections()
        self.client: AsyncMongoClient[dict[str, Any]] = self._client()
        database = self.client.get_database(
            database_name(url),
            read_concern=COMMITTED,
            write_concern=DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        self.database = database
        self.records: Collection = database["records"]
        self.events: Collection = database["events"]
        self.streams: Collection = database["streams"]
        self.commits: Collection = database["commits"]
        self.namespaces: Collection = database["namespaces"]
        self.majority: Collection = self.namespaces.with_options(read_concern=ReadConcern("majority"))

    async def begin(self, session: Session) -> None:
        """Start a transaction: reads one majority-committed snapshot, is durable when it is acknowledged."""
        await session.start_transaction(
            read_concern=COMMITTED, write_concern=DURABLE, read_preference=ReadPreference.PRIMARY
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()

    def _client(self) -> AsyncMongoClient[dict[str, Any]]:
        place = f"{self.url.scheme}://{host(self.url)}/"
        try:
            return AsyncMongoClient(place, event_listeners=[self.seen], **client_options(self.url))
        except (ConfigurationError, ValueError, TypeError) as error:
            raise InvalidOption(f"{self.url.text!r} cannot be used: {error}", url=self.url.text) from error
        except PyMongoError as error:
            raise failure(error, self.url.text) from error
