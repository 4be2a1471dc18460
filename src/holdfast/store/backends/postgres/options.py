"""What a `postgresql:` URL says: hosts, database, schema, TLS, time-outs. Nothing is looked up here.

What the URL leaves out, libpq's variables say (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, …), and
then `~/.pgpass` the password: what the URL says wins over both.
"""

import re
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from holdfast.errors import InvalidOption
from holdfast.store.backends.network import TIMEOUTS, Timeouts, number, timeouts
from holdfast.store.credentials import PASSWORD
from holdfast.store.url import StoreUrl

__all__ = ("Address", "Options", "options")

TLS: Final[tuple[str, ...]] = ("sslmode", "sslrootcert", "sslcert", "sslkey")
COMMITS: Final = ("on", "off", "local", "remote_write", "remote_apply")

Address = tuple[str | None, int | None]
"""A host (or the folder of a Unix socket) and a port; None is what libpq's variables say."""


class Options(Struct, frozen=True):
    """A URL taken apart for PostgreSQL."""

    url: StoreUrl
    addresses: tuple[Address, ...]
    database: str | None
    schema: str
    tls: str
    synchronous_commit: str | None
    readers: int
    timeouts: Timeouts

    @property
    def asks_for_tls(self) -> bool:
        """Whether the URL says that there is no connection without TLS."""
        return "sslmode=require" in self.tls or "sslmode=verify" in self.tls


def options(url: StoreUrl) -> Options:
    """Return what a URL says; raises InvalidOption for what makes no sense."""
    given = url.only("schema", "host", "synchronous_commit", "readers", *TLS, *TIMEOUTS, *PASSWORD)
    tls = urlencode([(name, given[name]) for name in TLS if name in given])
    return Options(
        url=url,
        addresses=_addresses(url),
        database=url.path.removeprefix("/") or None,
        schema=_schema(url),
        tls=f"postgresql://?{tls}" if tls else "",
        synchronous_commit=_synchronous_commit(url),
        readers=int(number(url, "readers", 4, least=1)),
        timeouts=timeouts(url),
    )


def _addresses(url: StoreUrl) -> tuple[Address, ...]:
    folder = url.options.get("host")
    if folder is None:
        return tuple((host or None, port) for host, port in url.hosts) or ((None, None),)
    if url.host:
        raise InvalidOption(f"{url.text!r} names its host twice: leave ?host= out", option="host")
    return ((folder, url.port),)


def _schema(url: StoreUrl) -> str:
    name = url.options.get("schema", "holdfast")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", name) or name.lower().startswith("pg_"):
        raise InvalidOption(
            f"schema={name!r} in {url.text!r}: give up to 63 letters, digits, _ and -, not pg_…",
            option="schema", value=name,
        )  # fmt: skip
    return name


def _synchronous_commit(url: StoreUrl) -> str | None:
    chosen = url.options.get("synchronous_commit")
    if chosen is not None and chosen not in COMMITS:
        raise InvalidOption(
            f"synchronous_commit={chosen!r} in {url.text!r}: give one of {', '.join(COMMITS)}",
            option="synchronous_commit", value=chosen,
        )  # fmt: skip
    return chosen
