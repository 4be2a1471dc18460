"""A user's own adapter, as small as one can be: four methods over plain files. It must lose nothing either."""

import os
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from holdfast.errors import EntityNotFound
from holdfast.persist import Adapters, PersistBase
from holdfast.store import Store, open_store
from holdfast.store.base import Durability

__all__ = ("ADAPTER", "MAKE", "FourMethods", "adapters_at", "store_of")

ADAPTER: Final = "adapter:"
"""The start of a trial's store URL that stands for the adapter below, in the folder that follows."""

MAKE: Final = "make:"
"""The start of a store URL that stands for what a callable returns: `{"call": "module:name", "arguments": {…}}`."""


class FourMethods(PersistBase):
    """An entity a file, each replaced in one step."""

    durability = Durability.PROCESS_CRASH

    def __init__(self, entity_name: str, base_dir: str) -> None:
        super().__init__(entity_name, base_dir)
        self._folder = Path(base_dir, plain(entity_name))

    async def wait_for_init(self, initial: bool = False) -> None:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    async def read_value(self, entity_id: str | int) -> Any:
        """Return an entity; raises EntityNotFound."""
        try:
            return msgspec.json.decode(self._path(entity_id).read_bytes())
        except FileNotFoundError as error:
            raise EntityNotFound(f"there is no {entity_id}") from error

    async def has_value(self, entity_id: str | int) -> bool:
        """Whether an entity is there."""
        return self._path(entity_id).exists()

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        """Write an entity beside the old one, and put it in its place."""
        path = self._path(entity_id)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(value))
        os.replace(part, path)

    def _path(self, entity_id: str | int) -> Path:
        return self._folder / f"{plain(str(entity_id))}.json"


def plain(name: str) -> str:
    """Return a file name for any name: no two get the same, and none is too long."""
    short = quote(name, safe="").replace(".", "%2E")
    return short if len(short) < 200 else sha256(name.encode()).hexdigest()


def adapters_at(url: str) -> Adapters:
    """Return the adapters of a store URL: the one above, or those of the store itself."""
    if url.startswith(ADAPTER):
        adapters = Adapters(base_dir=url.removeprefix(ADAPTER))
        adapters.use("signal", FourMethods)
        return adapters
    adapters = Adapters()
    adapters.use_store(url)
    return adapters


def store_of(url: str) -> Store:
    """Return the store of a trial's URL, not yet open."""
    if url.startswith(MAKE):
        return _made(**msgspec.json.decode(url.removeprefix(MAKE)))
    return adapters_at(url).store() if url.startswith(ADAPTER) else open_store(url)


def _made(*, call: str, arguments: dict[str, Any]) -> Store:
    module, _, name = call.partition(":")
    store: Store = getattr(import_module(module), name)(**arguments)
    return store
