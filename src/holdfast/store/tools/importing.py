"""`holdfast store import`: a portable file as a store that can only be read; importing it is copying it.

Opening reads all of the file and its digest before anything of it is used: what was cut off or has changed by as
much as a bit is refused as a whole.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, NoReturn

from holdfast.errors import Corrupt, NotOpen, StoreMissing, Unsupported
from holdfast.store.backends.file.disk import Disk
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.tools.contents import Tell, untold
from holdfast.store.tools.copying import Copied, copy
from holdfast.store.tools.portable import GZIP, Line, Numbered, Row, decode_line
from holdfast.store.tools.reading import Contents, Lines, Place
from holdfast.system import Clock, Ids, system_ids

__all__ = ("PortableFile", "import_file")

BEGINS: Final = b'{"holdfast":'
PACKED: Final = b"\x1f\x8b"


async def import_file(
    path: str,
    target: Store,
    *,
    dry_run: bool = False,
    clock: Clock | None = None,
    ids: Ids = system_ids,
    disk: Disk | None = None,
    tell: Tell = untold,
) -> Copied:
    """Make an empty store hold what a portable file holds, compared value by value; the same call goes on.

    The target is a copy then, and refuses to be traded on until `activate`. Raises Corrupt for a damaged file before
    anything is written, and what `copy` raises.
    """
    source = PortableFile(path, disk=disk)
    return await copy(source, target, dry_run=dry_run, clock=clock, ids=ids, tell=tell)


class PortableFile(Store):
    """A portable file, read only. It is as it was when it was written; nothing in it changes."""

    durability = Durability.NONE

    def __init__(self, path: str, *, disk: Disk | None = None, zipped: bool | None = None) -> None:
        self._disk = disk or Disk()
        self._path = self._disk.absolute(path)
        self._zipped = path.endswith(".gz") if zipped is None else zipped
        self._fd = -1
        self.url = f"export:{self._path}"
        self.namespace = "default"
        self._contents: Contents | None = None

    async def open(self) -> None:
        """Read all of the file; raises StoreMissing, Corrupt where it is not whole, FromTheFuture."""
        if self._contents is None:
            self._fd = self._opened()
            try:
                self._contents = await asyncio.to_thread(self._checked)
            except BaseException:
                self._disk.close(self._fd)
                raise
            header = self._contents.header
            self.namespace, self.head = header.namespace, header.head
            self.url = f"export:{self._path}?sha256={self._contents.sha256}"

    async def close(self) -> None:
        """Let go of the file."""
        contents, self._contents = self._contents, None
        if contents is not None:
            self._disk.close(self._fd)

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys`, found by reading from the first of each name on."""
        found = []
        for key in keys:
            records = [r async for r in self.scan(key.entity_name) if r.key == key]
            found.append(records[0] if records else None)
        return found

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id."""
        count = 0
        for line in self._section(self._open().entities.get(entity_name)):
            if limit is not None and count >= limit:
                return
            if isinstance(line, Row) and (after is None or line.id > after):
                count += 1
                yield Record(Key(entity_name, line.id), line.value, line.version)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first."""
        count = 0
        for line in self._section(self._open().streams.get(stream)):
            if limit is not None and count >= limit:
                return
            if isinstance(line, Numbered) and line.number > after:
                count += 1
                yield Event(stream, line.number, line.value, line.version)

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        return self._open().lengths.get(stream, 0)

    async def names(self) -> Names:
        """Return the entity names and the streams that are in the file."""
        contents = self._open()
        return Names(tuple(sorted(contents.entities)), tuple(sorted(contents.streams)))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Raise Unsupported: the file changes nothing."""
        raise Unsupported(
            f"{self._path} is a file of a portfolio: import it into a store first", url=self.url
        )

    def _open(self) -> Contents:
        if self._contents is None:
            raise NotOpen("the file is not open: use `async with`", url=self.url)
        return self._contents

    def _section(self, place: Place | None) -> Iterator[Line]:
        if place is None:
            return
        lines = Lines(self._disk, self._fd, zipped=self._zipped).read(place)
        next(lines)  # what says whose section it is
        for data, _ in lines:
            line = decode_line(data)
            if not isinstance(line, Row | Numbered):
                return
            yield line

    def _opened(self) -> int:
        try:
            return self._disk.open(self._path)
        except FileNotFoundError as error:
            raise StoreMissing(f"there is no file {self._path}", path=self._path) from error

    def _refuse_other(self) -> None:
        """Raise Corrupt where the file does not begin as an export, packed or not: it may be any other file."""
        begun = self._disk.read_at(self._fd, 4096, 0)
        packed = begun.startswith(PACKED)
        if len(begun) < len(PACKED):
            return  # cut off, as reading all of it will say
        if packed != self._zipped:
            name = "ends in .gz" if self._zipped else "does not end in .gz"
            self._is_none(f"it is {'compressed' if packed else 'not compressed'}, and its name {name}")
        if packed:
            try:
                begun = zlib.decompressobj(GZIP).decompress(begun, len(BEGINS))
            except zlib.error:
                return  # damaged, as reading all of it will say
        if not BEGINS.startswith(begun[: len(BEGINS)]):
            self._is_none("it does not begin as one")

    def _is_none(self, reason: str) -> NoReturn:
        message = (
            f"{self._path} is no export of a portfolio, or damaged: {reason}. Nothing was imported; give a file that "
            "`holdfast store export` has written"
        )
        raise Corrupt(message, key=None, reason=reason, path=self._path)

    def _checked(self) -> Contents:
        contents = Contents()
        self._refuse_other()
        try:
            for data, place in Lines(self._disk, self._fd, zipped=self._zipped).read():
                contents.take(data, place)
            contents.check()
        except (ValueError, zlib.error) as error:
            message = f"{self._path} is not whole: {error}. Nothing was imported; export it again, or use another copy"
            raise Corrupt(message, key=None, reason=str(error), path=self._path) from error
        return contents
