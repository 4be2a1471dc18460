"""Backends that lie about what failed: each is real code with one idea changed, which fault-tolerant must catch."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import Unavailable
from holdfast.store import Change, CommitId, Store, open_store
from holdfast.store.backends.file.store import FileStore
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing.own_adapter import FourMethods
from tests.testing_conformance.liars import Durable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
PATIENCE = 0.02


class RetriesFlush(Durable):
    """Flushes again after a flush has failed, which then succeeds."""

    def flush_file(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            os.fsync(fd)


class ReadsBack(Durable):
    """After a failed flush it looks whether the bytes are there, and goes on where they are."""

    def flush_file(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            path = os.readlink(f"/proc/self/fd/{fd}")
            msgspec.json.decode(Path(path).read_bytes())


class Swallows(FourMethods):
    """Takes what could not be written for written."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        try:
            await super().write_value(entity_id, value)
        except OSError:
            return


class FullIsFine(FourMethods):
    """Reports success where there is no room, and only there."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        try:
            await super().write_value(entity_id, value)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise


class TearsWhenFull(FourMethods):
    """Writes over what is there where there is no room for a second copy beside it."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        try:
            await super().write_value(entity_id, value)
        except OSError as error:
            if error.errno in NO_ROOM:
                self._path(entity_id).write_bytes(msgspec.json.encode(value))
            raise


class WritesOnce(FourMethods):
    """Does not look how much of what it wrote was written."""

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        path = self._path(entity_id)
        fd = os.open(path.with_suffix(".part"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(fd, msgspec.json.encode(value))
        finally:
            os.close(fd)
        os.replace(path.with_suffix(".part"), path)


class NeverGivesUp(Wrapper):
    """Tries again for as long as it takes: its callers wait for ever, and hold what they hold."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        while True:
            try:
                return await self.inner.commit(changes, commit_id=commit_id)
            except Unavailable:
                await asyncio.sleep(PATIENCE)


class SilenceIsConsent(Wrapper):
    """Does not wait for an answer for long, and takes none for yes."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        committing = asyncio.ensure_future(self.inner.commit(changes, commit_id=commit_id))
        done, _ = await asyncio.wait({committing}, timeout=PATIENCE)
        if done:
            return committing.result()
        committing.add_done_callback(lambda late: late.cancelled() or late.exception())
        return commit_id or ""


class SureOfIt(Wrapper):
    """Says of every commit that it could not hear of that it has not happened."""

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        try:
            return await self.inner.commit(changes, commit_id=commit_id)
        except Unavailable as error:
            raise Unavailable("refused", unknown=False) from error


def on_url(*, kind: str, url: str, namespace: str) -> Store:
    """Return a liar around a real store."""
    made: Store = {"Wrapper": Wrapper, **globals()}[kind](open_store(url, namespace=namespace))
    return made


def small_file(*, folder: str, namespace: str) -> Store:
    """Return a file store, as it is, but for the size of its segments."""
    return FileStore(folder, namespace=namespace, segment_bytes=64 << 10)


class Startled(FileStore):
    """Refuses the first start after who committed was killed, and no other one."""

    async def open(self) -> None:
        if self._unmark():
            raise Unavailable("it was killed", unknown=False)
        await super().open()

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        self._mark().touch()
        return await super().commit(changes, commit_id=commit_id, vital=vital)

    async def close(self) -> None:
        await super().close()
        self._unmark()

    def _unmark(self) -> bool:
        marked = self._mark().exists()
        self._mark().unlink(missing_ok=True)
        return marked

    def _mark(self) -> Path:
        return Path(self.base_dir, f"running {self.namespace}")


def startled(*, folder: str, namespace: str) -> Store:
    return Startled(folder, namespace=namespace)
