"""The adapters of a store, one instance per domain and owner, and what their exceptions mean."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final

from holdfast.errors import Corrupt, HoldfastError, Unavailable
from holdfast.persist.base import PersistBase
from holdfast.persist.domains import DOMAINS, Ctor
from holdfast.persist.once import Once
from holdfast.store import Durability, Key

__all__ = ("MISSING", "Rack", "declared", "title")


class _Missing:
    """The type of MISSING: None is a value."""


MISSING: Final = _Missing()
OTHER: Final = "other"
UNREADABLE: Final = (LookupError, ValueError, TypeError)


class Rack:
    """Finds the adapter of an entity name: its domain's own, else the signal adapter under the full name."""

    def __init__(self, ctors: Mapping[str, Ctor], *, base_dir: str, namespace: str) -> None:
        # A run decides on what is read here: a view of a cached store reads past the cache.
        self._ctors: dict[str, Ctor] = {domain: getattr(c, "uncached", c) for domain, c in ctors.items()}
        self._base_dir = base_dir
        # Two namespaces on one database must not meet, also where an adapter looks at entity_name only.
        self._prefix = "" if namespace == "default" else f"{namespace}."
        self._made: dict[str, tuple[Any, Once]] = {}

    @property
    def map(self) -> dict[str, str]:
        """Which adapter serves which domain, by name."""
        return {domain: title(ctor) for domain, ctor in sorted(self._ctors.items())}

    @property
    def durability(self) -> Durability:
        """The weakest that the adapters declare; one that declares nothing promises nothing."""
        made = [adapter for adapter, _ in self._made.values()]
        found = (declared(kind) for kind in (*self._ctors.values(), *made))
        return min((kind for kind in found if kind is not None), default=Durability.NONE)

    async def read(self, key: Key) -> Any:
        """Return what the adapter has at `key`, MISSING where it has nothing.

        Raises Corrupt for what is there and cannot be read, Unavailable where the adapter failed.
        """
        adapter = await self._ready(key.entity_name)
        if not await _asked(adapter.has_value(key.entity_id), key):
            return MISSING
        try:
            return await _asked(adapter.read_value(key.entity_id), key)
        except UNREADABLE as error:
            # It said that the value is there: what it cannot find, or make sense of, is not absent.
            message = f"the adapter has {key.entity_name}/{key.entity_id} and cannot read it: {error!r}"
            raise Corrupt(message, key=key, reason=repr(error), path=None) from error

    async def write(self, key: Key, document: dict[str, Any]) -> None:
        """Have the adapter set what is at `key`; raises Unavailable, where it may have done so all the same."""
        adapter = await self._ready(key.entity_name)
        try:
            await adapter.write_value(key.entity_id, document)
        except HoldfastError:
            raise
        except Exception as error:
            message = f"the adapter failed to write {key.entity_name}/{key.entity_id}: {error!r}"
            raise Unavailable(message, key=key, unknown=True) from error

    async def close(self) -> None:
        """Let go of all adapters; those that have a `close` are closed."""
        made, self._made = self._made, {}
        for adapter, _ in made.values():
            close = getattr(adapter, "close", None)
            if close is not None:
                await close()

    async def _ready(self, entity_name: str) -> Any:
        try:
            if entity_name not in self._made:
                self._made[entity_name] = self._make(entity_name), Once()
            adapter, once = self._made[entity_name]
            await once(lambda: _init(adapter))
        except HoldfastError:
            raise
        except Exception as error:
            raise Unavailable(
                f"the adapter of {entity_name} failed to start: {error!r}", unknown=False
            ) from error
        return adapter

    def _make(self, entity_name: str) -> Any:
        domain, _, owner = entity_name.partition(".")
        if owner and domain in self._ctors:
            return self._ctors[domain](f"{self._prefix}{owner}", f"{self._base_dir}/{domain}")
        # A name that is no domain's never becomes part of a path: it may be `..`, or 512 bytes long.
        folder = domain if owner and domain in DOMAINS else OTHER
        return self._ctors["signal"](f"{self._prefix}{entity_name}", f"{self._base_dir}/{folder}")


def title(ctor: Ctor) -> str:
    """Return the name of an adapter: its `adapter_name`, else where its class or function is defined."""
    chosen = getattr(ctor, "adapter_name", None)
    if isinstance(chosen, str):
        return chosen
    name = getattr(ctor, "__qualname__", None)
    return repr(ctor) if name is None else f"{getattr(ctor, '__module__', '?')}.{name}"


def declared(kind: Any) -> Durability | None:
    """Return what an adapter, or what makes it, declares; None for the file store, which says it once it is open."""
    if kind is PersistBase:
        return None
    found = getattr(kind, "durability", Durability.NONE)
    return found if isinstance(found, Durability) else Durability.NONE


async def _asked(answer: Awaitable[Any], key: Key) -> Any:
    try:
        return await answer
    except (HoldfastError, *UNREADABLE):
        raise
    except Exception as error:
        message = f"the adapter failed to read {key.entity_name}/{key.entity_id}: {error!r}"
        raise Unavailable(message, key=key, unknown=False) from error


async def _init(adapter: Any) -> None:
    await adapter.wait_for_init(True)
