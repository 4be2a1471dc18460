"""The real disk, calls of which can be held: what runs on a thread is then under way for as long as a test likes."""

import asyncio
import threading
from typing import Any

from holdfast.store.backends.file.disk import Disk


class GatedDisk(Disk):
    """Holds every `call` on a path that has `part` in it, from `hold(call, part)` until `let_go()`."""

    def __init__(self) -> None:
        self._held: tuple[str, str] | None = None
        self._reached = threading.Event()
        self._go_on = threading.Event()
        self._paths: dict[int, str] = {}

    def hold(self, call: str, part: str) -> None:
        self._held = call, part
        self._reached.clear()
        self._go_on.clear()

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 200)

    def let_go(self) -> None:
        self._held = None
        self._go_on.set()

    def create(self, path: str) -> int:
        fd = super().create(path)
        self._paths[fd] = path
        return fd

    def open(self, path: str, *, write: bool = False) -> int:
        fd = super().open(path, write=write)
        self._paths[fd] = path
        return fd

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self._pass("write", self._paths.get(fd, ""))
        super().write(fd, data, offset)

    def rename(self, source: str, target: str) -> None:
        self._pass("rename", target)
        super().rename(source, target)

    def read(self, path: str) -> bytes:
        self._pass("read", path)
        return super().read(path)

    def flush_all(self, path: str) -> bool:
        self._pass("flush_all", path)
        return super().flush_all(path)

    def _pass(self, call: str, path: str) -> None:
        if self._held is not None and self._held[0] == call and self._held[1] in path:
            self._reached.set()
            assert self._go_on.wait(200)


def idle(**options: Any) -> dict[str, Any]:
    """Options of a file store that does nothing by itself once it is open."""
    return {"flush_seconds": 1e6, "checkpoint_seconds": 1e9, "checkpoint_bytes": 1 << 40, **options}
