"""Runs nx-27017 so that one transaction at a time is open: `python -m … PORT FOLDER`.

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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from bson import Binary

__all__ = ("Gate", "serve")

Message = dict[str, Any]
Handle = Callable[[Message], tuple[int, Message]]

PATIENCE: Final = 10.0
THREADS: Final = 64

FREE: Final = (
    "hello",
    "ismaster",
    "isMaster",
    "ping",
    "endSessions",
    "buildInfo",
    "commitTransaction",
    "abortTransaction",
)
"""Commands that touch no document, or end a transaction."""

CONFLICT: Final[Message] = {
    "ok": 0,
    "code": 112,
    "codeName": "WriteConflict",
    "errmsg": "another transaction is open (gate of the test server)",
    "errorLabels": ["TransientTransactionError"],
}


class Gate:
    """Who may pass: the session with the open transaction, or all others while there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: bytes | None = None
        self._connection: Any = None
        self._inside = 0

    def guard(self, handle: Handle) -> Handle:
        """Return `handle` behind the gate."""

        def guarded(message: Message) -> tuple[int, Message]:
            body: Message = next((part for kind, part in message["sections"] if kind == "body"), {})
            if any(name in body for name in FREE):
                return self._free(handle, message, body)
            with self._entered(body, message.get("_conn_id")) as entered:
                return handle(message) if entered else (message["request_id"], dict(CONFLICT))

        return guarded

    def gone(self, connection: Any) -> bytes | None:
        """Note that a connection has ended; return the session whose transaction is to be rolled back."""
        with self._changed:
            return self._owner if connection == self._connection else None

    def leave(self, session: bytes | None) -> None:
        """Note that a session's transaction has ended."""
        with self._changed:
            if session is not None and session == self._owner:
                self._owner = self._connection = None
                self._changed.notify_all()

    def _free(self, handle: Handle, message: Message, body: Message) -> tuple[int, Message]:
        try:
            return handle(message)
        finally:
            if "commitTransaction" in body or "abortTransaction" in body:
                self.leave(_session(body))

    @contextmanager
    def _entered(self, body: Message, connection: Any) -> Iterator[bool]:
        session = _session(body)
        with self._changed:
            if body.get("startTransaction"):
                yield_to = self._start(session, connection)
            elif session is not None and session == self._owner:
                self._connection, yield_to = connection, True
            else:
                yield_to = self._changed.wait_for(lambda: self._owner is None, PATIENCE)
            self._inside += yield_to
        try:
            yield yield_to
        finally:
            with self._changed:
                self._inside -= yield_to
                self._changed.notify_all()

    def _start(self, session: bytes | None, connection: Any) -> bool:
        if self._owner is not None:
            return False
        self._owner, self._connection = session, connection
        if self._changed.wait_for(lambda: self._inside == 0, PATIENCE):
            return True
        self._owner = self._connection = None
        return False


def _session(body: Message) -> bytes | None:
    lsid = body.get("lsid")
    return bytes(lsid["id"]) if lsid else None


async def serve(port: int, folder: str) -> None:
    """Serve on a loopback port until the process ends."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    handler = import_module("nx_27017.handler").NeoSQLiteHandler(data_dir=folder)
    gate = Gate()
    forget = handler.close_streams_for_connection

    def ended(connection: Any) -> None:
        session = gate.gone(connection)
        if session is not None:
            body = {"abortTransaction": 1, "lsid": {"id": Binary(session, 4)}, "$db": "admin"}
            handler.handle_command({"request_id": 0, "sections": [("body", body)]})
        forget(connection)

    handler.handle_command = gate.guard(handler.handle_command)
    handler.handle_insert = gate.guard(handler.handle_insert)
    handler.close_streams_for_connection = ended
    await import_module("nx_27017.server").run_server("127.0.0.1", port, handler)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
