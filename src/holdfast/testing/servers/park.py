"""A park of throw-away servers: one of each kind, started when it is first needed, shared by all that comes.

    with Park() as park:
        park.url("redis")            # an empty store: a namespace of its own on the park's Redis server
        park.server("redis").kill()  # the next `url` starts it again

`KINDS` are the stores that can be tried without being given any; each has its own fresh place every time.
"""

import itertools
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.testing.own_adapter import ADAPTER
from holdfast.testing.servers.process import ServerProcess

__all__ = ("KINDS", "Kind", "Park", "in_namespace", "server_of")


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of store: `server` makes the server that it needs ("module:name", with `options`).

    `shared`: several processes may have it open. `shows_durability`: it is the real thing, so that what it keeps or
    loses says something of what users run. `drivers` are modules that a process had better import beforehand.
    """

    name: str
    server: str = ""
    options: Mapping[str, Any] = {}
    shared: bool = True
    shows_durability: bool = True
    drivers: tuple[str, ...] = ()
    points: str = ""


_SERVERS: Final = "holdfast.testing.servers"
_BACKENDS: Final = "holdfast.store.backends"

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(name="file", shared=False, points=f"{_BACKENDS}.file"),
        Kind(name="adapter", shared=False, points="holdfast.persist"),
        Kind(name="sqlite", drivers=("sqlite3",), points=f"{_BACKENDS}.sqlite"),
        Kind(
            name="redis",
            server=f"{_SERVERS}.redis:RedisServer",
            options={"appendfsync": "always"},
            drivers=("redis.asyncio",),
            points=f"{_BACKENDS}.redis",
        ),
        Kind(
            name="postgres",
            server=f"{_SERVERS}.postgres:PostgresServer",
            drivers=("asyncpg",),
            points=f"{_BACKENDS}.postgres",
        ),
        # A server that speaks MongoDB's protocol: it shows nothing of how durable MongoDB is.
        Kind(
            name="mongo",
            server=f"{_SERVERS}.mongo:MongoTestServer",
            shows_durability=False,
            drivers=("pymongo",),
            points=f"{_BACKENDS}.mongo",
        ),
    )
}


class Park:
    """Starts servers on demand and stops all of them at the end; use it as `with`, from any thread.

    All files go into `folder`: in memory, a server that was killed starts in a tenth of the time.
    """

    def __init__(self, *, folder: str | None = None) -> None:
        self._base = folder
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-park-", dir=folder))
        self._servers: dict[str, ServerProcess] = {}
        self._starting = threading.Lock()
        self._numbers = itertools.count(1)

    def server(self, kind: str) -> ServerProcess:
        """Return the running server of a kind, started (again) if need be; raises InvalidOption where it has none."""
        if not KINDS[kind].server:
            raise InvalidOption(f"{kind} needs no server")
        with self._starting:
            if kind not in self._servers:
                self._servers[kind] = server_of(kind, folder=self._base)
            self._servers[kind].start()
        return self._servers[kind]

    def url(self, kind: str) -> str:
        """Return the URL of an empty store of that kind."""
        if KINDS[kind].server:
            return in_namespace(self.server(kind).url, f"park-{secrets.token_hex(6)}")
        place = self._folder / f"{kind}-{next(self._numbers)}"
        if kind == "sqlite":
            place.mkdir()
            return f"sqlite:///{place / 'state.db'}"
        return f"{ADAPTER if kind == 'adapter' else 'file:'}{place}"

    def stop(self) -> None:
        """Stop all servers, and remove every place."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def server_of(kind: str, *, folder: str | None = None) -> ServerProcess:
    """Return a server of a kind, not started; its folder is made in `folder`, or where temporary files go."""
    known = KINDS[kind]
    module, _, name = known.server.partition(":")
    made: ServerProcess = getattr(import_module(module), name)(**known.options, folder=folder)
    return made


def in_namespace(url: str, namespace: str) -> str:
    """Return a store's URL with a namespace; raises InvalidOption where it has one."""
    if "namespace=" in url:
        raise InvalidOption(f"{url} has a namespace already", url=url)
    return f"{url}{'&' if '?' in url else '?'}namespace={namespace}"
