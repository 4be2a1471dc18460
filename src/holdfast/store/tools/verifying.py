"""Whether everything in a store can be read and is what it should be; for any store, also while it is used."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from holdfast.errors import Corrupt, FromTheFuture
from holdfast.store.backends.file.findings import Finding
from holdfast.store.base import Event, Key, Record, Store
from holdfast.store.tools.contents import Tell, untold
from holdfast.store.tools.mark import MARK, MARK_KEY
from holdfast.store.workers import OWNER, WORKER
from holdfast.store.wrappers.base import Wrapper

__all__ = ("Checks", "verify")

Check = Callable[[Any], object]
Checks = Mapping[str, Check]
"""What looks at the values of names that begin so; it raises Corrupt, FromTheFuture or ValueError."""

OWN: Checks = {
    "holdfast.owner.": OWNER.from_document,
    "holdfast.worker": WORKER.from_document,
}


async def verify(store: Store, checks: Checks | None = None, *, tell: Tell = untold) -> list[Finding]:
    """Read everything in an open store and return what is wrong with it, nothing where it is sound.

    Every record and event is read and decoded; known documents are checked against their schemas (`checks`, by the
    beginning of a name), streams have no gaps and do not end early, everything has a version, and the head does not
    go back. A backend that can examine itself (SQLite: every page of its file) does so first. Raises Unavailable where
    it cannot be read at all.
    """
    looking = _Look(store, {**OWN, **(checks or {})}, tell)
    looking.found += await _examined(store)
    head = store.head
    try:
        names = await store.names()
    except Corrupt as error:
        looking.add("damaged", str(error))
        return looking.found
    for name in names.entities:
        await looking.entities(name)
    for stream in names.streams:
        await looking.stream(stream)
    if store.head < head or (store.head == 0 and (names.entities or names.streams)):
        looking.add("stale", f"the head is {store.head}, after {head}")
    return looking.found


async def _examined(store: Store) -> list[Finding]:
    """Return what the backend itself finds, past all wrappers; nothing where it has no means of its own."""
    while isinstance(store, Wrapper):
        store = store.inner
    examine: Callable[[], Awaitable[list[Finding]]] | None = getattr(store, "examine", None)
    return [] if examine is None else await examine()


class _Look:
    """One look at everything."""

    def __init__(self, store: Store, checks: Checks, tell: Tell) -> None:
        self._store = store
        self._checks = checks
        self._tell = tell
        self.found: list[Finding] = []

    def add(self, kind: str, reason: str, *, key: Key | None = None, stream: str | None = None) -> None:
        self.found.append(Finding(kind, self._store.url, reason, key, stream))

    async def entities(self, name: str) -> None:
        """Look at the records of a name; one that cannot be read is found, and those after it are looked at."""
        after: str | None = None
        while True:
            try:
                async for record in self._store.scan(name, after=after):
                    self._record(record, after)
                    after = record.key.entity_id
                    self._tell("verified", 1)
                return
            except Corrupt as error:
                key = error.facts.get("key") or Key(name, "?")
                self.add("damaged", str(error), key=key)
                if key.entity_name != name or key.entity_id == "?" or (after or "") >= key.entity_id:
                    return  # it cannot be passed
                after = key.entity_id

    async def stream(self, stream: str) -> None:
        """Look at the events of a stream."""
        last = number = 0
        try:
            last = await self._store.last_number(stream)
            async for event in self._store.read(stream):
                if event.number != number + 1:
                    self.add("missing", f"event {event.number} follows {number}", stream=stream)
                number = event.number
                self._event(event)
                self._tell("verified", 1)
        except Corrupt as error:
            self.add("damaged", f"after event {number}: {error}", stream=stream)
            return
        if number < last:
            self.add("missing", f"ends with event {number}, and is to have {last}", stream=stream)

    def _record(self, record: Record, after: str | None) -> None:
        if after is not None and record.key.entity_id <= after:
            self.add("unknown", f"is listed after {after!r}", key=record.key)
        if not record.version:
            self.add("damaged", "has no version", key=record.key)
        check = MARK.from_document if record.key == MARK_KEY else self._check(record.key.entity_name)
        if record.value is not None and (fault := _fault(check, record.value)):
            self.add("damaged", fault, key=record.key)

    def _event(self, event: Event) -> None:
        if not event.version:
            self.add("damaged", f"event {event.number} has no version", stream=event.stream)
        if fault := _fault(self._check(event.stream), event.value):
            self.add("damaged", f"event {event.number}: {fault}", stream=event.stream)

    def _check(self, name: str) -> Check | None:
        return next((check for start, check in self._checks.items() if name.startswith(start)), None)


def _fault(check: Check | None, value: Any) -> str:
    try:
        if check is not None:
            check(value)
    except (Corrupt, FromTheFuture, ValueError) as error:
        return str(error)
    return ""
