"""Runs nx-27017 so that one transaction at a time is open: `python -m … PORT FOLDER`.

What nx-27017 lacks, and the gate does as mongod does:

* A transaction is known by its session and number. What comes late, from a connection that was cut, belongs to no
  transaction that is over (251), and not to the session's next one (225). nx-27017 would write it at once, outside.
* A transaction is ended when no command of it runs any more. A session's next transaction ends the one before.
* A commit that is repeated is done already.

What the gate adds, and how mongod differs:

* A second transaction that wants to start gets a write conflict (112, TransientTransactionError) at once. mongod
  lets it start, and says so at the first document that both change.
* Whatever is no part of the open transaction waits for its end, reads too. On mongod reads do not wait: they see
  the snapshot before it.
* A transaction is rolled back when its connection ends. mongod keeps it for up to 60 seconds.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple, Self

from bson import Binary

from holdfast.testing.servers.mongo_names import naming

__all__ = ("Gate", "Transaction", "serve")

Message = dict[str, Any]
Handle = Callable[[Message], tuple[int, Message]]

PATIENCE: Final = 10.0
THREADS: Final = 64

FREE: Final = ("hello", "ismaster", "isMaster", "ping", "buildInfo")
"""Commands that touch no document."""


def _refusal(code: int, name: str, says: str, *labels: str) -> Message:
    says = f"{says} (gate of the test server)"
    return {"ok": 0, "code": code, "codeName": name, "errmsg": says, "errorLabels": list(labels)}


TRANSIENT: Final = "TransientTransactionError"
CONFLICT: Final = _refusal(112, "WriteConflict", "another transaction is open", TRANSIENT)
TOO_OLD: Final = _refusal(225, "TransactionTooOld", "the session has begun a newer transaction")
NO_SUCH: Final = _refusal(251, "NoSuchTransaction", "this transaction is not open", TRANSIENT)


class Transaction(NamedTuple):
    """A transaction: its session, and its number there."""

    session: bytes
    number: int

    @classmethod
    def of(cls, body: Message) -> Self | None:
        """Return the transaction that a command is a part of, if any."""
        if body.get("autocommit") is not False:
            return None
        return cls(bytes(body["lsid"]["id"]), int(body["txnNumber"]))

    def command(self, what: str) -> Message:
        """Return the command that does something with it."""
        lsid = {"id": Binary(self.session, 4)}
        return {what: 1, "lsid": lsid, "txnNumber": self.number, "autocommit": False, "$db": "admin"}


class Gate:
    """Who may pass: the open transaction, or all others while there is none; `handle` carries commands out."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._changed = threading.Condition()
        self._open: Transaction | None = None
        self._connection: Any = None
        self._inside = 0
        self._newest: dict[bytes, int] = {}
        self._committed: dict[bytes, int] = {}

    def guard(self, handle: Handle) -> Handle:
        """Return `handle` behind the gate."""

        def guarded(message: Message) -> tuple[int, Message]:
            body: Message = next((part for kind, part in message["sections"] if kind == "body"), {})
            if any(name in body for name in FREE):
                return handle(message)
            for how in ("commitTransaction", "abortTransaction"):
                if how in body:
                    return message["request_id"], self._end(how, Transaction.of(body))
            if "endSessions" in body:
                self._forget({bytes(each["id"]) for each in body["endSessions"]})
                return handle(message)
            with self._entered(body, message.get("_conn_id")) as refusal:
                return (message["request_id"], dict(refusal)) if refusal else handle(message)

        return guarded

    def gone(self, connection: Any) -> None:
        """Roll back the transaction of a connection that has ended."""
        with self._changed:
            if connection == self._connection:
                self._roll_back(self._open)

    def _forget(self, sessions: Container[bytes]) -> None:
        with self._changed:
            if self._open is not None and self._open.session in sessions:
                self._roll_back(self._open)

    @contextmanager
    def _entered(self, body: Message, connection: Any) -> Iterator[Message | None]:
        """Wait for the turn of a command; yields what to answer instead, where it has none."""
        transaction = Transaction.of(body)
        with self._changed:
            if transaction is None:
                refusal = self._wait_outside()
            else:
                begins = bool(body.get("startTransaction"))
                refusal = self._begin(transaction) if begins else self._refusal(transaction)
                if refusal is None:
                    self._connection = connection
            self._inside += refusal is None
        try:
            yield refusal
        finally:
            with self._changed:
                self._inside -= refusal is None
                self._changed.notify_all()

    def _wait_outside(self) -> Message | None:
        return None if self._changed.wait_for(lambda: self._open is None, PATIENCE) else CONFLICT

    def _begin(self, transaction: Transaction) -> Message | None:
        session, number = transaction
        if number <= self._newest.get(session, -1):
            return TOO_OLD
        self._newest[session] = number
        if self._open is not None and self._open.session == session:
            self._roll_back(self._open)
        if self._open is not None:
            return CONFLICT
        self._open = transaction
        self._changed.wait_for(lambda: self._inside == 0)
        return self._refusal(transaction)

    def _refusal(self, transaction: Transaction) -> Message | None:
        """Return why a transaction cannot go on, None where it can."""
        if self._open == transaction:
            return None
        return TOO_OLD if transaction.number < self._newest.get(transaction.session, -1) else NO_SUCH

    def _end(self, how: str, transaction: Transaction | None) -> Message:
        """Commit or abort a transaction once no command of it runs; nobody enters meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0 or self._open != transaction)
            if transaction is None:
                return dict(NO_SUCH)
            if how == "commitTransaction" and self._committed.get(transaction.session) == transaction.number:
                return {"ok": 1}
            if refusal := self._refusal(transaction):
                # A session that is not known may have committed before the server died: no label says that it has not.
                known = transaction.session in self._newest
                return dict(refusal) if known else {**refusal, "errorLabels": []}
            return self._do(how, transaction)

    def _do(self, how: str, transaction: Transaction) -> Message:
        message = {"request_id": 0, "sections": [("body", transaction.command(how))]}
        try:
            _, answer = self._handle(message)
        finally:
            self._open = self._connection = None
            self._changed.notify_all()
        if how == "commitTransaction" and answer["ok"] == 1:
            self._committed[transaction.session] = transaction.number
        return answer

    def _roll_back(self, transaction: Transaction | None) -> None:
        if transaction is not None:
            self._end("abortTransaction", transaction)


async def serve(port: int, folder: str) -> None:
    """Serve on a loopback port until the process ends."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    handler = import_module("nx_27017.handler").NeoSQLiteHandler(data_dir=folder)
    gate = Gate(handler.handle_command)
    forget = handler.close_streams_for_connection

    def ended(connection: Any) -> None:
        gate.gone(connection)
        forget(connection)

    handler.handle_command = gate.guard(naming(handler.handle_command))
    handler.handle_insert = gate.guard(naming(handler.handle_insert))
    handler.close_streams_for_connection = ended
    await import_module("nx_27017.server").run_server("127.0.0.1", port, handler)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
