"""Open stores that several users of one process share: opened for the first, closed after the last.

A folder has one opener at a time, but a program may have many views of it. Where nobody says goodbye, the
store is closed at the end of the event loop it was opened on (`asyncio.run` closes asynchronous generators).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote
from weakref import WeakKeyDictionary, WeakSet, ref

from holdfast.errors import NotOpen
from holdfast.persist.once import finish
from holdfast.store import Store, open_store

__all__ = ("PerLoop", "SharedStore", "file_store", "file_url")

Loop = asyncio.AbstractEventLoop
Make = Callable[[], Store]


class SharedStore:
    """One store on one event loop, and who uses it. A store that was open before is left open after."""

    def __init__(self, make: Make) -> None:
        self._loop = ref(asyncio.get_running_loop())
        self._make = make
        self._users: WeakSet[object] = WeakSet()
        self._lock = asyncio.Lock()
        self._made: Store | None = None
        self._store: Store | None = None
        self._life: AsyncGenerator[Store, None] | None = None

    @property
    def is_here(self) -> bool:
        """Whether this is the running event loop's."""
        return self._loop() is asyncio.get_running_loop()

    async def join(self, user: object) -> Store:
        """Return the store, open for `user` until it leaves; joining twice is joining once."""
        if self._store is not None and user in self._users:
            return self._store
        store: Store = await finish(self._join(user))
        return store

    async def leave(self, user: object) -> None:
        """Let go of the store, and close it if nobody else uses it; who is no user changes nothing."""
        await finish(self._leave(user))

    async def _join(self, user: object) -> Store:
        # Under the lock: whoever comes while the store is being closed opens it after that.
        async with self._lock:
            if self._store is None:
                # Made once and opened as often as need be: what `memory:` holds stays in the object.
                self._made = self._made or self._make()
                life = _life(self._made)
                self._store = await anext(life)
                self._life = life
            self._users.add(user)
            return self._store

    async def _leave(self, user: object) -> None:
        async with self._lock:
            self._users.discard(user)
            if self._users or self._life is None:
                return
            life, self._life, self._store = self._life, None, None
            await life.aclose()


async def _life(store: Store) -> AsyncGenerator[Store, None]:
    was_open = await _is_open(store)
    await store.open()
    try:
        yield store
    finally:
        if not was_open:
            await store.close()


async def _is_open(store: Store) -> bool:
    try:
        await store.get()
    except NotOpen:
        return False
    return True


class PerLoop:
    """Shared stores by name, on each event loop its own."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[Loop, dict[str, SharedStore]] = WeakKeyDictionary()

    def get(self, name: str, make: Make) -> SharedStore:
        """Return this loop's shared store of that name; `make` makes the store when it is first joined."""
        shared = self._loops.setdefault(asyncio.get_running_loop(), {})
        if name not in shared:
            shared[name] = SharedStore(make)
        return shared[name]


# For the whole process, since so is what it stands for: a folder's lock belongs to the process.
_FILES: Final = PerLoop()


def file_url(path: str) -> str:
    """Return the URL of the file store at a path."""
    return f"file:{quote(path)}"


def file_store(base_dir: str, *, namespace: str = "default", make: Make | None = None) -> SharedStore:
    """Return this loop's shared file store of a folder; `make` says how it is made, if not from its path."""
    url = file_url(str(Path(base_dir).resolve()))
    return _FILES.get(f"{url}?namespace={namespace}", make or (lambda: open_store(url, namespace=namespace)))
