"""`file:./logs/data`: the default store. Durable through power loss, one entity a readable file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, TypeVarTuple

from holdfast.errors import InvalidOption, NotOpen, StoreFull
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.findings import Finding, broken
from holdfast.store.backends.file.keeper import Keeper
from holdfast.store.backends.file.layout import Layout
from holdfast.store.backends.file.live import Live
from holdfast.store.backends.file.manifest import Chunk
from holdfast.store.backends.file.opening import Opening, open_namespace
from holdfast.store.backends.file.segments import DEFAULT_SEGMENT_BYTES
from holdfast.store.backends.file.streams import Line, Stream, read_chunk
from holdfast.store.base import Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.codec import check_key, check_name, check_stream, decode
from holdfast.store.url import StoreUrl
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("DEFAULT_BASE_DIR", "FileStore", "from_url")

DEFAULT_BASE_DIR: Final = "./logs/data"

T = TypeVar("T")
A = TypeVarTuple("A")


class FileStore(Store):
    """A namespace in a folder: an acknowledged commit survives power loss, and entities are readable files.

    One process writes at a time. `findings` says what the last `open` found that should not be. Commits are
    durable when they return; the entity files follow within `flush_seconds`, checkpoints every
    `checkpoint_seconds` or `checkpoint_bytes` of journal.
    """

    durability = Durability.POWER_LOSS

    def __init__(
        self,
        base_dir: str = DEFAULT_BASE_DIR,
        *,
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
        disk: Disk | None = None,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        flush_seconds: float = 0.5,
        checkpoint_seconds: float = 60.0,
        checkpoint_bytes: int = 16 << 20,
    ) -> None:
        self.base_dir = base_dir
        self.url = f"file:{base_dir}"
        self.namespace = namespace
        self.findings: tuple[Finding, ...] = ()
        self._clock = clock or SystemClock()
        self._ids = ids
        self._disk = disk or Disk()
        self._segment_bytes = segment_bytes
        self._flush_seconds = flush_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint_bytes = checkpoint_bytes
        self._changing = asyncio.Lock()
        self._layout = Layout("")
        self._live: Live | None = None

    @property
    def head(self) -> int:  # type: ignore[override]
        """The number of the namespace's last durable commit."""
        return 0 if self._live is None else self._live.head

    async def open(self) -> None:
        """Lock and recover the namespace, making it if it is not there; opening an open store does nothing."""
        async with self._changing:
            if self._live is None:
                await _whole(self._open())

    async def close(self) -> None:
        """Finish running commits, write a checkpoint, let go of the lock; closing a closed store does nothing."""
        async with self._changing:
            if self._live is not None:
                await _whole(self._close())

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the durable records of `keys`, each with a value of its own; raises Corrupt for a broken one."""
        live = self._open_live()
        for key in keys:
            check_key(key)
            if key in live.broken:
                raise broken(key, live.broken[key])
        return [live.table.record(key) for key in keys]

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the durable records of an entity name by id; raises Corrupt where a broken one has its place."""
        live = self._open_live()
        check_name(entity_name, "entity_name")
        bad = sorted(
            k for k in live.broken if k.entity_name == entity_name and (not after or k.entity_id > after)
        )
        for key, stored in live.table.slice(entity_name, after, limit):
            if bad and bad[0] < key:
                break
            yield Record(key, decode(stored.value), stored.version)
        else:
            return
        raise broken(bad[0], live.broken[bad[0]])

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the durable events of a stream, oldest first; raises Corrupt where a byte is not as it was."""
        live = self._open_live()
        check_stream(stream)
        found = live.streams.get(stream, Stream())
        chunks, tail, covered = found.chunks, list(found.tail), found.covered
        last = found.count if limit is None else min(found.count, after + max(limit, 0))
        for chunk in chunks:
            if chunk.first + chunk.count > after + 1 and chunk.first <= last:
                for line in await self._in_thread(self._chunk, stream, chunk):
                    if after < line.number <= last:
                        yield Event(stream, line.number, decode(line.value), line.version)
        for number, (value, version) in enumerate(tail, covered + 1):
            if after < number <= last:
                yield Event(stream, number, decode(value), version)

    async def names(self) -> Names:
        """Return the entity names that have records, broken ones included, and the streams that have events."""
        live = self._open_live()
        entities = {*live.table.names(), *(key.entity_name for key in live.broken)}
        streams = sorted(name for name, stream in live.streams.items() if stream.count)
        return Names(tuple(sorted(entities)), tuple(streams))

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest durable event, 0 where it has none, at once."""
        check_stream(stream)
        found = self._open_live().streams.get(stream)
        return 0 if found is None else found.count

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; return when they survive a power cut."""
        return await self._open_live().commit(changes, commit_id, vital)

    async def _open(self) -> None:
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="holdfast-files")
        try:
            opening = await self._in_thread(self._opening)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self._lock = opening.lock
        self._journal = opening.journal
        self.findings = tuple(opening.loaded.findings)
        self._keeper = Keeper(
            opening.checkpointer, opening.spare, self._executor, self._clock, self._layout.root,
            flush_seconds=self._flush_seconds, checkpoint_seconds=self._checkpoint_seconds,
            checkpoint_bytes=self._checkpoint_bytes,
        )  # fmt: skip
        self._live = Live(
            opening, self._disk, self._layout.root, clock=self._clock, ids=self._ids, wake=self._keeper.wake
        )
        self._keeper.start(self._live)

    def _opening(self) -> Opening:
        self._layout = Layout.of(self._disk.absolute(self.base_dir), self.namespace)
        opening = open_namespace(
            self._disk, self._layout, self.namespace,
            clock=self._clock, ids=self._ids, segment_bytes=self._segment_bytes,
        )  # fmt: skip
        volatile = self._disk.is_volatile(self._layout.root)
        self.durability = Durability.PROCESS_CRASH if volatile else Durability.POWER_LOSS
        return opening

    async def _close(self) -> None:
        live = self._open_live()
        self._live = None
        try:
            await self._keeper.stop()
            await live.finish()
            if not live.failed:
                await self._last_checkpoint(live)
        finally:
            self._journal.close()
            self._disk.close(self._lock)
            self._executor.shutdown(wait=False)

    async def _last_checkpoint(self, live: Live) -> None:
        try:
            await self._keeper.finish(live)
        except StoreFull as error:  # nothing is lost: the next open finds it all in the journal
            self.findings += (Finding("full", self._layout.root, str(error)),)

    def _open_live(self) -> Live:
        if self._live is None:
            message = "the store is not open: use `async with store`, or `await store.open()`"
            raise NotOpen(message, url=self.url)
        return self._live

    def _chunk(self, stream: str, chunk: Chunk) -> list[Line]:
        return read_chunk(self._disk, self._layout.stream(stream), chunk, stream)

    async def _in_thread(self, work: Callable[[*A], T], *args: *A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even where the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def from_url(url: StoreUrl, *, clock: Clock, ids: Ids) -> FileStore:
    """Return the store of `file:PATH`; its option is `mode` (`rw` or `ro`)."""
    options = url.only("mode")
    if options.get("mode", "rw") not in ("rw", "ro"):
        raise InvalidOption(f"mode={options['mode']!r} in {url.text!r}; known: ro, rw", option="mode")
    if url.host not in (None, "", "localhost"):
        raise InvalidOption(f"{url.text!r} names a host; write file:PATH or file:///PATH", url=url.text)
    return FileStore(url.path or DEFAULT_BASE_DIR, namespace=url.namespace, clock=clock, ids=ids)
