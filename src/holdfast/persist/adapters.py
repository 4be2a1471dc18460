"""Which store serves a desk: its one store, or the adapters that a user has registered for its domains."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

from holdfast.errors import AdapterInUse, InvalidOption
from holdfast.persist.adapter_store import AdapterStore
from holdfast.persist.base import PersistBase
from holdfast.persist.domains import DOMAINS, Ctor
from holdfast.persist.host import Host
from holdfast.persist.shared import PerLoop, SharedStore, file_store, file_url
from holdfast.persist.view import StoreViews, persist_of
from holdfast.store import Store, open_store
from holdfast.store.url import parse
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("Adapters",)

SIGNAL: Final = "signal"
PATIENCE: Final = 0.5

T = TypeVar("T")


class Adapters:
    """A desk's choice of where its state is. Until something is chosen: the file store in `base_dir`.

    `use_store` chooses one store for everything; `use` an adapter for one domain. A domain without one is
    served by that store, or else by the *signal* adapter, never by local files.
    """

    def __init__(
        self,
        *,
        base_dir: str = "./logs/data",
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
    ) -> None:
        self.base_dir = base_dir
        self.namespace = namespace
        self._clock = clock
        self._ids = ids
        self._chosen: str | Store | None = None
        self._ctors: dict[str, Ctor] = {}
        self._runs = 0
        self._homes: list[asyncio.AbstractEventLoop] = []
        self._loops = PerLoop()

    @property
    def in_use(self) -> bool:
        """Whether a run uses the store now, so that nothing may be chosen anew."""
        return self._runs > 0

    def use_store(self, url_or_store: str | Store) -> None:
        """Let one store, or the store of a URL, serve all domains, in place of whatever was chosen before.

        Raises AdapterInUse while a run uses the store, InvalidOption for a URL that makes no sense.
        """
        self._refuse_in_use()
        if isinstance(url_or_store, str):
            named = parse(url_or_store).namespace
            if self.namespace == "default":  # else the URL must agree, or opening it says that it does not
                self.namespace = named
        else:
            self.namespace = url_or_store.namespace
        self._chosen, self._ctors = url_or_store, {}
        self._loops = PerLoop()

    def use(self, domain: str, ctor: Ctor) -> None:
        """Let `ctor(owner, f"{base_dir}/{domain}")` make what serves a domain, one instance per owner.

        Raises AdapterInUse while a run uses the store, InvalidOption for what is no domain or not callable.
        """
        self._refuse_in_use()
        if domain not in DOMAINS:
            raise InvalidOption(f"{domain!r} is no domain; known: {', '.join(DOMAINS)}", known=DOMAINS)
        if not callable(ctor):
            raise InvalidOption(f"an adapter is a callable (entity_name, base_dir), not {ctor!r}")
        self._ctors[domain] = ctor
        self._loops = PerLoop()

    def store(self) -> Store:
        """Return the desk's one store as chosen, not yet open.

        A store that was given as an object is returned itself. Raises InvalidOption where adapters are
        registered and nothing serves the signals, or none is and adapters served this folder before.
        """
        one = self._one_store()
        if one is not None:
            return one
        if self._is_default():
            Host(self.base_dir, self.namespace, clock=self._clock or SystemClock()).refuse_adapters()
            return self._open_store(file_url(self.base_dir))
        return AdapterStore(
            self._served(),
            base_dir=self.base_dir,
            namespace=self.namespace,
            clock=self._clock,
            ids=self._ids,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        """Yield the desk's one store, open, for a run: what it decides on is read past every cache.

        It is the same for all who are inside on this event loop, and closed with the last of them, unless it was
        open before the first.
        """
        async with self._joined() as store:
            yield store.uncached

    @asynccontextmanager
    async def _joined(self) -> AsyncIterator[Store]:
        shared, user = self._shared(), _User()
        try:
            yield await shared.join(user)
        finally:
            await shared.leave(user)

    async def on_store(self, act: Callable[[Store], Awaitable[T]]) -> T:
        """Return `act(store)` of the desk's one store, open: on the event loop of a run if there is one, else here.

        A store has one opener. While a run in the background has it, others have their work done there.
        """
        home = next((loop for loop in self._homes if loop.is_running()), None)
        if home is None or home is asyncio.get_running_loop():
            return await self._here(act)
        there = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._here(act), home))
        while not there.done() and home.is_running():
            await asyncio.wait([there], timeout=PATIENCE)
        if there.done():
            return there.result()
        there.cancel()  # the run ended before it came to this
        return await self._here(act)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Refuse other adapters (AdapterInUse) while inside: a run uses these, on the event loop it is called on."""
        home = _running_loop()
        self._runs += 1
        self._homes += home
        try:
            yield
        finally:
            self._runs -= 1
            for loop in home:
                self._homes.remove(loop)

    async def _here(self, act: Callable[[Store], Awaitable[T]]) -> T:
        async with self._joined() as store:
            return await act(store)

    def _shared(self) -> SharedStore:
        if self._is_default():
            # The folder is shared with the entity views of the user's own code on the same folder.
            return file_store(self.base_dir, namespace=self.namespace, make=self.store)
        return self._loops.get("", self.store)

    def _is_default(self) -> bool:
        # PersistBase, registered as it is, is the file store: then one store serves all, and one commit spans it.
        return self._chosen is None and all(ctor is PersistBase for ctor in self._ctors.values())

    def _one_store(self) -> Store | None:
        """Return the one store that serves everything, where there is one and no adapter is in play."""
        if not self._ctors:
            return self._open_store(self._chosen) if isinstance(self._chosen, str) else self._chosen
        views = [ctor.store for ctor in self._ctors.values() if isinstance(ctor, StoreViews)]
        alone = len(views) == len(self._ctors) and all(store is views[0] for store in views)
        return views[0] if alone and self._chosen in (None, views[0]) and SIGNAL in self._ctors else None

    def _served(self) -> dict[str, Ctor]:
        if self._chosen is not None:
            store = self._open_store(self._chosen) if isinstance(self._chosen, str) else self._chosen
            return {**dict.fromkeys(DOMAINS, persist_of(store)), **self._ctors}
        if SIGNAL not in self._ctors:
            raise InvalidOption(
                f"adapters serve {', '.join(self._ctors)}, and nothing serves the signals: register an adapter "
                "with PersistSignalAdapter.use_persist_signal_adapter (PersistBase is the file store)",
                domains=tuple(self._ctors),
            )
        return dict(self._ctors)

    def _open_store(self, url: str) -> Store:
        return open_store(url, namespace=self.namespace, clock=self._clock, ids=self._ids)

    def _refuse_in_use(self) -> None:
        if self._runs:
            raise AdapterInUse(
                "a run is using the store: choose stores and adapters before the first one starts"
            )


class _User:
    """Somebody who has the store open."""


def _running_loop() -> list[asyncio.AbstractEventLoop]:
    try:
        return [asyncio.get_running_loop()]
    except RuntimeError:
        return []
