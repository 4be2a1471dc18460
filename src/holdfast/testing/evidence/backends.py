"""The backends and settings that are tried, by name: each brings its own place or server, thrown away afterwards.

with backend("redis-everysec") as subject: ...
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.store.wrappers.keyring import new_key
from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.conformance.target import at
from holdfast.testing.servers.park import KINDS
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.process import NotStarted, ServerProcess
from holdfast.testing.servers.redis import RedisServer

__all__ = ("BACKENDS", "MONGO_URL", "SERVED", "Backend", "backend", "options_of")

MONGO_URL: Final = "HOLDFAST_TEST_MONGODB_URL"
"""The variable that names a real MongoDB to be used instead of the stand-in."""

KEY: Final = "HOLDFAST_EVIDENCE_KEY"
CACHE: Final = "cache=1000"
ENCRYPT: Final = f"encrypt_key_env={KEY}"

Maker = Callable[[ExitStack], Subject]


class Backend(Struct, frozen=True):
    """What people call a backend with its setting, and what makes it."""

    label: str
    make: Maker
    slow: bool = False


def _kind(name: str) -> Maker:
    return lambda stack: stack.enter_context(at(name))


def _server(kind: str, make: Callable[[], ServerProcess], options: str = "") -> Maker:
    """Return what makes a subject on a server of its own, with options of the URL."""

    def made(stack: ExitStack) -> Subject:
        server = stack.enter_context(make())
        url = f"{server.url}?{options}" if options else server.url
        return Subject.of_url(url, server=server, preload=KINDS[kind].drivers)

    return made


def _folder(url: str) -> Maker:
    """Return what makes a subject of files in a folder, by a URL with `{folder}` in it."""

    def made(stack: ExitStack) -> Subject:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-evidence-"))
        subject = Subject.of_url(url.replace("{folder}", folder), preload=("sqlite3",))
        subject.at_folder = lambda place: url.replace("{folder}", f"{place}/made")
        return subject

    return made


def _encrypted(make: Maker) -> Maker:
    def made(stack: ExitStack) -> Subject:
        os.environ.setdefault(KEY, new_key("evidence"))  # processes that are forked need it, too
        return make(stack)

    return made


def _mongo(stack: ExitStack) -> Subject:
    url = os.environ.get(MONGO_URL, "")
    if not url:
        return stack.enter_context(at("mongo"))
    return Subject.of_url(url, preload=KINDS["mongo"].drivers)


def _everysec() -> ServerProcess:
    return RedisServer(appendfsync="everysec")


def _asynchronous() -> ServerProcess:
    return PostgresServer({"synchronous_commit": "off"})


REPLICATED: Final = f"sqlite:///{{folder}}/a.db?replica={quote('sqlite:///{folder}/b.db', safe='/{}')}"
TO_POSTGRES: Final = "redis-to-postgres"


def _to_postgres(stack: ExitStack) -> Subject:
    replica = stack.enter_context(PostgresServer())
    return _server("redis", RedisServer, f"replica={quote(replica.url, safe='')}")(stack)


BACKENDS: Final[Mapping[str, Backend]] = {
    "file": Backend("files", _kind("file")),
    "sqlite": Backend("SQLite", _kind("sqlite")),
    "redis": Backend("Redis, `appendfsync always`", _kind("redis")),
    "redis-everysec": Backend("Redis, `appendfsync everysec`", _server("redis", _everysec)),
    "postgres": Backend("PostgreSQL, `synchronous_commit on`", _kind("postgres")),
    "postgres-off": Backend("PostgreSQL, `synchronous_commit off`", _server("postgres", _asynchronous)),
    "adapter": Backend("an adapter of four methods, over files", _kind("adapter")),
    "file-cached": Backend("files, cached", _folder(f"file:{{folder}}/data?{CACHE}")),
    "file-encrypted": Backend("files, encrypted", _encrypted(_folder(f"file:{{folder}}/data?{ENCRYPT}"))),
    "redis-cached": Backend("Redis, cached", _server("redis", RedisServer, CACHE)),
    "sqlite-replicated": Backend("SQLite, replicated to SQLite", _folder(REPLICATED)),
    TO_POSTGRES: Backend("Redis, replicated to PostgreSQL", _to_postgres, slow=True),
    "memory": Backend("memory", _kind("memory")),
    "mongo": Backend(
        "MongoDB" if os.environ.get(MONGO_URL) else "MongoDB's protocol, on a stand-in", _mongo, slow=True
    ),
}
"""By name, in the order of the page."""

SERVED: Final = ("redis", "postgres")


@contextmanager
def backend(name: str) -> Iterator[Subject]:
    """Yield the subject of a name; raises InvalidOption where there is none, NotShown where its server is missing."""
    if name not in BACKENDS:
        raise InvalidOption(
            f"there is no backend {name!r}; known: {', '.join(BACKENDS)}", known=tuple(BACKENDS)
        )
    with ExitStack() as stack:
        try:
            subject = BACKENDS[name].make(stack)
        except (NotStarted, FileNotFoundError) as error:
            raise NotShown(str(error)) from error
        subject.name = name
        yield subject


def options_of(url: str, options: str) -> str:
    """Return a URL with further options."""
    return f"{url}{'&' if '?' in url else '?'}{options}"
