"""All that an open store has: its connection, what was found out about the server, who reads and who writes."""

from typing import Self

import pymongo
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from holdfast.store.backends.mongo.connection import Connection
from holdfast.store.backends.mongo.errors import failure
from holdfast.store.backends.mongo.findings import Findings, admit, find_out
from holdfast.store.backends.mongo.options import TEST_SERVER
from holdfast.store.backends.mongo.preparing import prepare
from holdfast.store.backends.mongo.reading import Reader
from holdfast.store.backends.mongo.transaction import Writer
from holdfast.store.backends.network import flag, timeouts
from holdfast.store.group import GroupCommit
from holdfast.store.lineage import Lineage
from holdfast.store.url import StoreUrl
from holdfast.system import Clock

__all__ = ("Opened",)


class Opened:
    """Made by `make`, to be closed by `close`."""

    def __init__(self, connection: Connection, findings: Findings, reader: Reader, writer: Writer) -> None:
        self.findings = findings
        self.reader = reader
        self.group = GroupCommit(writer.write)
        self._connection = connection
        self._writer = writer

    @classmethod
    async def make(cls, url: StoreUrl, lineage: Lineage, clock: Clock, spread: float) -> Self:
        """Connect and prepare; whatever fails, no connection is left."""
        limits = timeouts(url)
        connection = Connection(url)
        try:
            with pymongo.timeout(limits.connect + limits.read):
                hello = await admit(connection, test_server=flag(url, TEST_SERVER))
                head = await prepare(connection, url.namespace)
                findings = await find_out(connection, hello, test_server=flag(url, TEST_SERVER))
            reader = Reader(connection, url.namespace, lineage=lineage, clock=clock, limit=limits.read)
            await reader.check_lineage()
            lineage.check(max(head, lineage.head), remembers=True, url=url.text)
        except (PyMongoError, BSONError) as error:
            await connection.close()
            raise failure(error, url.text) from error
        except BaseException:
            await connection.close()
            raise
        writer = Writer(
            connection, url.namespace, lineage=lineage, clock=clock, limit=limits.commit, spread=spread
        )
        return cls(connection, findings, reader, writer)

    async def close(self) -> None:
        """Finish the commits that were asked for, then close every connection."""
        try:
            await self.group.close()
            await self._writer.close()
        finally:
            await self._connection.close()
