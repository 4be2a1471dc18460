"""A store as somebody names it on the command line: a URL, or a TARGET whose desk has one.

Opened for reading, nothing is created and nothing is locked, and a bot may go on using it. Adapters of four methods
are the exception: one process at a time is all that they can do.
"""

from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from holdfast.cli.target import load
from holdfast.errors import InvalidOption, StoreMissing
from holdfast.store import Store, open_store
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.store import DEFAULT_BASE_DIR, FileStore
from holdfast.store.url import BACKENDS, GROUP, WRAPPERS, parse, store_of
from holdfast.store.wrappers.base import Wrapper

__all__ = (
    "bare", "bare_reader", "folder_of", "is_target", "reader", "replica_urls", "replicas", "says_namespace", "writer",
)  # fmt: skip

ON_DISK = ("file", "sqlite")
ON_REDIS = tuple(scheme for scheme, module in BACKENDS.items() if ".redis." in module)


def reader(asked: str, namespace: str | None, *, looking: bool = False) -> Store:
    """Return the store that is asked for, not yet open; files and SQLite are opened `?mode=ro`.

    One that is only looked at (`looking`) may be on a Redis that could not be traded on, a replica of the server's own.
    Replicas are left out, since whoever opens a store with them makes them follow it, and caches too.
    """
    if is_target(asked):
        store = _of_desk(asked, namespace)
        return (
            FileReader(store.base_dir, namespace=store.namespace) if isinstance(store, FileStore) else store
        )
    url = parse(asked, namespace=namespace)
    options = {
        name: value
        for name, value in url.options.items()
        if not any(_belongs(name, wrapper) for wrapper in ("replica", "cache"))
    }
    if url.scheme == "file":
        _refuse_missing(url.path)
    if url.scheme in ON_DISK or (looking and url.scheme in ON_REDIS):
        options.setdefault("mode", "ro")
    return store_of(replace(url, options=options))


def replicas(asked: str, namespace: str | None) -> tuple[Store, list[Store]]:
    """Return a store and its replicas, each as it is, without what any other wrapper makes of it; to be read."""
    if is_target(asked):
        return _of_desk(asked, namespace), []
    pairs = replica_urls(asked, namespace)
    return bare_reader(asked, namespace), [reader(one, chosen) for one, chosen in pairs]


def replica_urls(asked: str, namespace: str | None) -> list[tuple[str, str | None]]:
    """Return the URLs that a store's URL names as its replicas, each with the namespace that it does not say itself."""
    if is_target(asked):
        return []
    url = parse(asked, namespace=namespace)
    named = [value for option, value in sorted(url.options.items()) if _belongs(option, "replica")]
    return [(one, None if says_namespace(one) else url.namespace) for one in named]


def bare(asked: str, namespace: str | None) -> Store:
    """Return the store itself, to be written, without what any wrapper makes of it: with all that replication keeps."""
    if not is_target(asked):
        return open_store(_without(asked, *WRAPPERS), namespace=namespace)
    store = _of_desk(asked, namespace)
    while isinstance(store, Wrapper):
        store = store.inner
    return store


def bare_reader(asked: str, namespace: str | None) -> Store:
    """Return the store itself, to be read beside whoever uses it; raises StoreMissing where there is none."""
    if not is_target(asked):
        return reader(_without(asked, *WRAPPERS), namespace)
    store = bare(asked, namespace)
    return FileReader(store.base_dir, namespace=store.namespace) if isinstance(store, FileStore) else store


def _without(asked: str, *wrappers: str) -> str:
    """Return a URL without the options of some wrappers."""
    place, mark, query = asked.partition("?")
    pairs = query.split("&") if mark else []
    kept = [pair for pair in pairs if not any(_belongs(pair.partition("=")[0], one) for one in wrappers)]
    return f"{place}?{'&'.join(kept)}" if kept else place


def _belongs(option: str, wrapper: str) -> bool:
    return option == wrapper or option.startswith(f"{wrapper}_")


def writer(asked: str, namespace: str | None) -> Store:
    """Return the store that is asked for, not yet open, to be written."""
    return _of_desk(asked, namespace) if is_target(asked) else open_store(asked, namespace=namespace)


def is_target(asked: str) -> bool:
    """Whether somebody names a desk (bot.py, bot.py:desk, package.module:desk) and no URL."""
    place, colon, _ = asked.partition(":")
    if place.endswith(".py"):
        return True
    known = place in BACKENDS or any(point.name == place for point in entry_points(group=GROUP))
    return bool(colon) and not known and "." in place and place.replace(".", "").isidentifier()


def says_namespace(asked: str) -> bool:
    """Whether a URL says its namespace itself."""
    return not is_target(asked) and "namespace" in dict(
        parse_qsl(urlsplit(asked).query, keep_blank_values=True)
    )


def folder_of(asked: str, namespace: str | None) -> Path | None:
    """Return the folder of a file store, None for any other; raises StoreMissing where it is not there."""
    if is_target(asked):
        store = reader(asked, namespace)
        return Path(store.base_dir) if isinstance(store, FileReader) else None
    url = parse(asked, namespace=namespace)
    if url.scheme != "file":
        return None
    _refuse_missing(url.path)
    return Path(url.path)


def _of_desk(target: str, namespace: str | None) -> Store:
    desk = load(target)
    if namespace is not None:
        if isinstance(desk.adapters.store(), Store) and desk.adapters.namespace not in ("default", namespace):
            raise InvalidOption(f"the desk of {target} is for namespace {desk.adapters.namespace!r}")
        desk.adapters.namespace = namespace
    return desk.adapters.store()


def _refuse_missing(path: str) -> None:
    place = Path(path or DEFAULT_BASE_DIR)
    if not place.is_dir():
        raise StoreMissing(f"there is no store at {place}; name another one, as file:PATH", path=str(place))
