"""A store by its URL: `memory:`, `file:./logs/data?namespace=blue`, and third parties' own schemes.

A third party registers an entry point in the group `holdfast.backends`: the name is the scheme, the object
any callable `(url: StoreUrl, *, clock: Clock, ids: Ids) -> Store`. Wrappers are asked for by options of their
own, on every scheme: `redis://host/0?cache=1000&observe=1`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_to_bytes, urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from holdfast.errors import InvalidOption, Unsupported
from holdfast.store.base import Store
from holdfast.store.codec import check_name
from holdfast.store.redaction import PATHS, is_secret, shown
from holdfast.system import Clock, Ids, SystemClock, system_ids

__all__ = ("BACKENDS", "WRAPPERS", "StoreUrl", "open_store", "parse", "store_of")

Factory = Callable[..., Store]

GROUP: Final = "holdfast.backends"
BACKENDS: Final[Mapping[str, str]] = {
    "file": "holdfast.store.backends.file.store",
    "memory": "holdfast.store.backends.memory",
    "mongodb": "holdfast.store.backends.mongo.store",
    "mongodb+srv": "holdfast.store.backends.mongo.store",
    "postgresql": "holdfast.store.backends.postgres.store",
    "redis": "holdfast.store.backends.redis.store",
    "redis+cluster": "holdfast.store.backends.redis.store",
    "redis+sentinel": "holdfast.store.backends.redis.store",
    "rediss": "holdfast.store.backends.redis.store",
    "rediss+cluster": "holdfast.store.backends.redis.store",
    "rediss+sentinel": "holdfast.store.backends.redis.store",
    "sqlite": "holdfast.store.backends.sqlite.store",
    "unix": "holdfast.store.backends.redis.store",
}
WRAPPERS: Final[Mapping[str, str]] = {
    "replica": "holdfast.store.wrappers.replicated",
    "encrypt": "holdfast.store.wrappers.encrypted",
    "cache": "holdfast.store.wrappers.cached",
    "observe": "holdfast.store.wrappers.observed",
}
"""Wrappers by the option that asks for each, the innermost first; `cache_max_age` is an option of `cache`.

Each module has `from_options(inner: Store, options: dict[str, str], *, clock: Clock, ids: Ids) -> Store`.
"""


NAME: Final = re.compile(r"[0-9A-Za-z_.-]+")
ENCODE: Final = "percent-encode @ : / ? # [ ] and % in a user or password (@ is %40)"
POINT: Final = (
    "write it as scheme://user:password@host, or name where it is with password_env= or password_file="
)


class StoreUrl(Struct, frozen=True):
    """A store's URL taken apart, percent-decoded; `text` is the URL without its passwords, `raw` has them.

    `hosts` are all of `scheme://a:1,b:2/`, each with its port or None; `host` and `port` are the first.
    """

    text: str
    scheme: str
    path: str
    namespace: str = "default"
    host: str | None = None
    port: int | None = None
    hosts: tuple[tuple[str, int | None], ...] = ()
    username: str | None = None
    password: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    raw: str = ""

    def only(self, *known: str) -> dict[str, str]:
        """Return the options if all are `known`; raises InvalidOption that lists the known ones."""
        for name in self.options:
            if name not in known:
                allowed = ", ".join(sorted((*known, "namespace")))
                message = f"unknown option {name!r} in {self.text!r}; known: {allowed}"
                raise InvalidOption(message, option=name, known=tuple(sorted((*known, "namespace"))))
        return self.options

    def __repr__(self) -> str:
        return f"StoreUrl({self.text!r}, namespace={self.namespace!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("text", self.text), ("namespace", self.namespace)]  # msgspec's own would show the password


def open_store(
    url: str, *, namespace: str | None = None, clock: Clock | None = None, ids: Ids = system_ids
) -> Store:
    """Return the store of `url`, not yet open: use it as `async with open_store(url) as store`.

    Raises InvalidOption for a URL that makes no sense, Unsupported for a scheme without a backend.
    """
    return store_of(parse(url, namespace=namespace), clock=clock, ids=ids)


def store_of(url: StoreUrl, *, clock: Clock | None = None, ids: Ids = system_ids) -> Store:
    """Return the store of a URL that was taken apart, not yet open; messages quote its `text`, as it was given."""
    parsed, wrappers = _split(url)
    clock = clock or SystemClock()
    store = _factory(parsed)(parsed, clock=clock, ids=ids)
    for module, options in wrappers:
        store = import_module(module).from_options(store, options, clock=clock, ids=ids)
    return store


def parse(url: str, *, namespace: str | None = None) -> StoreUrl:
    """Take a URL apart; `namespace` fills in for `?namespace=`, and must not contradict it."""
    text = shown(url)
    scheme, colon, _ = url.partition(":")
    if not colon or not scheme.isascii() or not scheme.replace("+", "").isalnum() or len(scheme) == 1:
        raise InvalidOption(f"{text!r} has no scheme; for files write file:{text}", url=text)
    parts = _parts(url, text)
    options = _options(text, parts)
    asked = options.pop("namespace", None)
    if asked is not None and namespace is not None and asked != namespace:
        raise InvalidOption(f"{text!r} says another namespace than {namespace!r}", url=text)
    chosen = asked if asked is not None else namespace if namespace is not None else "default"
    check_name(chosen, "namespace")
    hosts = tuple(_hosts(text, parts))
    host, port = hosts[0] if hosts else (None, None)
    return StoreUrl(
        text=text, scheme=parts.scheme, path=unquote(parts.path), namespace=chosen,
        host=host, port=port, hosts=hosts, username=_unquoted(parts.username),
        password=_unquoted(parts.password), options=options, raw=url,
    )  # fmt: skip


def _split(url: StoreUrl) -> tuple[StoreUrl, list[tuple[str, dict[str, str]]]]:
    """Return the URL without the wrappers' options, and each wrapper's module with its own, innermost first."""
    wrappers = []
    for name, module in WRAPPERS.items():
        own = {key: value for key, value in url.options.items() if _belongs(key, name)}
        if own:
            wrappers.append((module, own))
    others = {key: value for key, value in url.options.items() if not any(_belongs(key, w) for w in WRAPPERS)}
    return replace(url, options=others), wrappers


def _belongs(option: str, wrapper: str) -> bool:
    return option == wrapper or option.startswith(f"{wrapper}_")


def _parts(url: str, text: str) -> SplitResult:
    """Take a URL into its parts; raises InvalidOption where a password may have taken it apart elsewhere."""
    if any(letter < " " for letter in url):
        raise InvalidOption(f"{text!r} holds a control character; percent-encode it", url=text)
    if not _is_utf8(url):  # what is decoded in another way would name another place
        raise InvalidOption(f"{text!r} is not UTF-8, or not in what is percent-encoded", url=text)
    try:
        parts = urlsplit(url)
    except ValueError:  # whose text may hold the password
        raise InvalidOption(f"{text!r} has no valid host; {ENCODE}", url=text) from None
    if parts.scheme in PATHS:
        return parts
    if "@" in parts.path and (":" in parts.netloc or ":" in parts.path.partition("@")[0]):
        raise InvalidOption(f"{text!r} has an @ behind its host; {ENCODE}", url=text)
    return parts


def _is_utf8(url: str) -> bool:
    try:
        url.encode()
        unquote_to_bytes(url).decode()
    except UnicodeError:
        return False
    return True


def _options(text: str, parts: SplitResult) -> dict[str, str]:
    if parts.fragment:
        raise InvalidOption(
            f"{text!r} has a fragment (#); write %23 for a # in a name, and {ENCODE}", url=text
        )
    try:
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict"
        )
    except ValueError:  # whose text may hold the password
        message = f"the options of {text!r} are not name=value in UTF-8, with & between two; {ENCODE}"
        raise InvalidOption(message, url=text) from None
    options = dict(pairs)
    if not all(NAME.fullmatch(name) for name in options):  # nor are they shown: it may be part of a password
        raise InvalidOption(f"{text!r} has an option that is no name; {ENCODE}", url=text)
    if len(options) < len(pairs):
        raise InvalidOption(f"{text!r} gives an option twice", url=text)
    for name in filter(is_secret, options):
        raise InvalidOption(
            f"{name}= in {text!r} would be a secret in an option: {POINT}", option=name, url=text
        )
    return options


def _hosts(text: str, parts: SplitResult) -> Iterable[tuple[str, int | None]]:
    place = parts.netloc.rpartition("@")[2]
    for one in filter(None, place.split(",")):
        try:
            single = urlsplit(f"//{one}")
            port = single.port
        except ValueError:  # whose text may hold the password
            raise InvalidOption(f"{text!r} has no valid port or host; {ENCODE}", url=text) from None
        yield single.hostname or "", port


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _factory(url: StoreUrl) -> Factory:
    found = [point for point in entry_points(group=GROUP) if point.name == url.scheme]
    if len(found) + (url.scheme in BACKENDS) > 1:
        owners = ", ".join(sorted(point.value for point in found))
        raise InvalidOption(
            f"scheme {url.scheme!r} is claimed twice, by {owners}; uninstall one", scheme=url.scheme
        )
    if url.scheme in BACKENDS:
        factory: Factory = import_module(BACKENDS[url.scheme]).from_url
        return factory
    if not found:
        raise _unknown(url.scheme)
    return _loaded(found[0])


def _loaded(point: EntryPoint) -> Factory:
    factory: Factory = point.load()
    return factory


def _unknown(scheme: str) -> Unsupported:
    known = tuple(sorted({*BACKENDS, *(point.name for point in entry_points(group=GROUP))}))
    message = f"no backend for scheme {scheme!r}; known: {', '.join(known)}"
    return Unsupported(message, scheme=scheme, known=known)
