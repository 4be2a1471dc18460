"""What is examined: how to get stores of it, here and in other processes, its server if it has one, what it claims.

    Subject.of_url("sqlite:./state.db")
    Subject.of_call("my_backend.testing:store", claims=[...])   # store(namespace="…") -> Store, in any process

An *address* is what other processes are given: a URL, or `make:` and the name of a callable with its arguments.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.store import Durability, Store, open_store
from holdfast.store.url import StoreUrl, parse
from holdfast.testing.conformance.checks import Level
from holdfast.testing.conformance.places import absent, apart, in_folder, tidy
from holdfast.testing.own_adapter import ADAPTER, MAKE, store_of
from holdfast.testing.servers.park import in_namespace
from holdfast.testing.servers.process import ServerProcess

__all__ = ("ALL", "IN_MEMORY", "Found", "Subject", "address_of", "named")

IN_MEMORY: Final = frozenset({Level.CORE, Level.ATOMIC, Level.CONCURRENT})
"""What a store can claim that keeps nothing."""

ALL: Final = frozenset(Level)
FOUR: Final = "holdfast.testing.own_adapter:FourMethods"


class Found(Struct, frozen=True, kw_only=True):
    """What a store said of itself when it was opened."""

    url: str = ""
    shared: bool = False
    durability: Durability = Durability.NONE
    atomicity: str = "commit"
    warnings: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    """Whom this process got connected to by opening it."""


class Subject(Struct, kw_only=True):
    """A backend under examination.

    `address` returns what opens a namespace in any process, `make` a store that is not open; `reader` the address of
    a view that only reads, beside a writer; `replica` that of a store which follows it; `at_folder` that of a store
    which keeps itself in a folder. `claims` is None for all that its durability allows. `keeps`: another store object
    finds what one has stored (False: it is in the object). `adapter` is the class of four methods below, where that
    is what is examined; `replica_adapter` one that reads the replica to which that writes. `real` is False for a
    stand-in whose durability says nothing of the real thing.
    """

    name: str
    make: Callable[[str], Store]
    address: Callable[[str], str] | None = None
    claims: frozenset[Level] | None = None
    server: ServerProcess | None = None
    reader: Callable[[str], str] | None = None
    replica: Callable[[str], str] | None = None
    at_folder: Callable[[str], str] | None = None
    adapter: str = ""
    replica_adapter: str = ""
    keeps: bool = True
    single: bool = False
    real: bool = True
    preload: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    found: Found = Found()

    @classmethod
    def of_store(cls, store: Store, *, claims: Iterable[Level] = IN_MEMORY) -> "Subject":
        """Return the subject of one store object that is empty: for what needs no second one."""
        return cls(name=store.url, make=lambda _: store, claims=_levels(claims), keeps=False, single=True)

    @classmethod
    def of_factory(
        cls,
        make: Callable[[str], Store],
        *,
        name: str = "",
        claims: Iterable[Level] | None = None,
        **more: Any,
    ) -> "Subject":
        """Return the subject of a callable `(namespace) -> Store` of this process; other processes cannot call it."""
        return cls(name=name or _named(make), make=make, claims=_levels(claims), **more)

    @classmethod
    def of_call(
        cls, function: str, arguments: Mapping[str, Any] | None = None, *, name: str = "",
        claims: Iterable[Level] | None = None, **more: Any,
    ) -> "Subject":  # fmt: skip
        """Return the subject of `module:callable`, called with `arguments` and `namespace=` in every process."""

        def address(namespace: str) -> str:
            return address_of(function, {**(arguments or {}), "namespace": namespace})

        return cls(
            name=name or function, address=address, make=lambda namespace: store_of(address(namespace)),
            claims=_levels(claims), **more,
        )  # fmt: skip

    @classmethod
    def of_url(
        cls, url: str, *, claims: Iterable[Level] | None = None, run: str = "", name: str = "", **more: Any
    ) -> "Subject":
        """Return the subject of a store's URL. Files are made beside what it names, in a place of the `run`'s own.

        It claims, unless told otherwise, what a store can of the durability that it declares.
        """
        if url.startswith(ADAPTER):
            place = f"{url.removeprefix(ADAPTER)}{run and f'/{run}'}"
            return cls.of_call(
                "holdfast.testing.conformance.four_methods:adapter_store", {"adapter": FOUR, "base_dir": place},
                name=name or "four methods over files", claims=claims, adapter=FOUR, places=(place,) if run else (),
                at_folder=lambda folder: f"{ADAPTER}{folder}/made", **more,
            )  # fmt: skip
        parsed = parse(url)
        kept = parsed.scheme != "memory"
        url, made = apart(url, run) if run else (url, ())
        replica = parse(url).options.get("replica")

        def address(namespace: str) -> str:
            return in_namespace(url, namespace)

        return cls(
            name=name or parsed.text, address=address if kept else None, keeps=kept, claims=_levels(claims),
            make=lambda namespace: open_store(in_namespace(url, namespace)), places=made, folders=absent(made),
            reader=(lambda namespace: f"{address(namespace)}&mode=ro") if _has_reader(parsed) else None,
            replica=(lambda namespace: in_namespace(replica, namespace)) if replica and kept else None,
            at_folder=in_folder(url) if kept else None,
            **more,
        )  # fmt: skip

    @property
    def claimed(self) -> frozenset[Level]:
        """The levels that are claimed; by default what can be with the durability that was found."""
        if self.claims is not None:
            return self.claims
        if self.found.durability is Durability.NONE and not self.adapter:
            return IN_MEMORY  # an adapter may only not have said what it keeps
        return ALL if self.found.durability >= Durability.POWER_LOSS else ALL - {Level.POWER_SAFE}

    def lacks(self, need: str) -> str:
        """Return why what a check needs is not so, a reason for which it says nothing here; "" where it is."""
        lacking = {
            "fresh": (self.single, "it was given one store object only"),
            "again": (not self.keeps, "what it stores is in the store object itself"),
            "elsewhere": (self.address is None, "no other process can reach it"),
            "shared": (not self.found.shared, "one process at a time has it open"),
            "alone": (self.found.shared, "several processes may have it open"),
            "reader": (self.reader is None, "there is no view that only reads"),
            "replica": (self.replica is None, "it has no replica"),
            "replica-adapter": (not self.replica_adapter, "the kit was told of no replica that it has"),
            "in-folder": (self.at_folder is None, "it does not keep itself in a folder"),
            "adapter": (not self.adapter, "it is no adapter of four methods"),
            "lasting": (Level.POWER_SAFE not in self.claimed, "it does not claim to survive a power cut"),
            "served": (not self._is_served(), "it has no server"),
        }
        lacks, why = lacking.get(need, (False, ""))
        return why if lacks else ""

    def _is_served(self) -> bool:
        scheme = self.found.url.partition(":")[0]
        return self.server is not None or bool(self.found.peers) or scheme.startswith(SERVED)

    def tidy(self) -> None:
        """Remove what was made for it beside what its URL names."""
        tidy(self.places, self.folders)


SERVED: Final = ("redis", "unix", "postgres", "mongodb")


def address_of(function: str, arguments: Mapping[str, Any]) -> str:
    """Return the address of the store that `module:callable` returns for these arguments."""
    return MAKE + msgspec.json.encode({"call": function, "arguments": arguments}).decode()


def named(place: str) -> Any:
    """Return what `module:name` is; raises InvalidOption where there is no such thing."""
    module, colon, name = place.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split(".") if colon else ():
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidOption(f"there is no {place}: {error}") from error
    except Exception as error:
        raise InvalidOption(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    return found


def _levels(claims: Iterable[Level] | None) -> frozenset[Level] | None:
    return None if claims is None else frozenset(map(Level, claims))


def _named(make: Any) -> str:
    return getattr(make, "__qualname__", "") or type(make).__name__


def _has_reader(url: StoreUrl) -> bool:
    return url.scheme == "file" and "replica" not in url.options
