"""How a connection is made: the first host that takes writes and still has what it acknowledged.

Hosts are asked in the URL's order, again and again with longer pauses, until the time is up or nothing but a person
can mend it.
"""

import asyncio
import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from holdfast.errors import HoldfastError, Unavailable, Unsupported, WentBack
from holdfast.store.backends.network import driver
from holdfast.store.backends.postgres.faults import (
    NOT_GIVEN,
    POOLER,
    UNAUTHENTICATED,
    explained,
    misused,
    sqlstate,
    unavailable,
)
from holdfast.store.backends.postgres.findings import Findings, findings, findings_of
from holdfast.store.backends.postgres.options import Address, Options
from holdfast.store.backends.postgres.schema import check_version, is_current, migrate
from holdfast.store.backends.postgres.session import Session
from holdfast.store.backends.postgres.statements import HELLO, Statements
from holdfast.store.credentials import password
from holdfast.store.lineage import Lineage
from holdfast.system import Clock, Ids

__all__ = ("OLDEST", "Reach")

OLDEST: Final = 13
"""The oldest PostgreSQL that is taken."""

BROKE_OFF: Final = (
    "broke off while it was greeted, or has no TLS and PGSSLMODE asks for it: then turn ssl on there"
)
PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0


class Reach:
    """Makes connections to a namespace; `findings` are those of the newest one, `home` where it is."""

    def __init__(
        self, options: Options, statements: Statements, lineage: Lineage, *, clock: Clock, ids: Ids
    ) -> None:
        self.options = options
        self.statements = statements
        self.lineage = lineage
        self.findings: Findings | None = None
        self.home: object = None
        self.place = options.url.text
        self._clock = clock
        self._ids = ids
        self._driver = driver("asyncpg", extra="postgres")

    async def session(self, *, create: bool = False, within: float | None = None) -> Session:
        """Return a new connection that was found fit; `create` makes the tables and the namespace if need be.

        Raises Unavailable, WentBack, FromTheFuture, Unsupported, Corrupt, InvalidOption.
        """
        timeout = self.options.timeouts.connect if within is None else within
        deadline = self._clock.monotonic() + timeout
        pause = PAUSE
        said: HoldfastError | None = None
        while True:
            found = await self._first(deadline, create=create)
            if isinstance(found, Session):
                return found
            cut_short = isinstance(found.__cause__, TimeoutError) or getattr(found.__cause__, "late", False)
            if said is None or not cut_short:
                said = found  # what a host said says more than that it was cut short by the deadline
            if not (isinstance(found, Unavailable) and found.retryable):
                raise found
            if self._clock.monotonic() + pause > deadline:
                raise said
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def observe(self, settings: str) -> None:
        """Take the settings that a commit was made under: they may have changed since the connection was."""
        if self.findings is None or settings != self.findings.settings:
            self.findings = findings(settings)

    async def _first(self, deadline: float, *, create: bool) -> Session | HoldfastError:
        """Return the first fit connection, or what was wrong with the host that says most."""
        faults: list[HoldfastError] = []
        for left, address in zip(
            range(len(self.options.addresses), 0, -1), self.options.addresses, strict=True
        ):
            share = max((deadline - self._clock.monotonic()) / left, 0.05)
            try:
                return await self._fit(address, share, create=create)
            except HoldfastError as error:
                faults.append(error)
        return max(faults, key=_telling)

    async def _fit(self, address: Address, within: float, *, create: bool) -> Session:
        """Return a connection to one host that was found fit, in time; raises what is wrong with it."""
        session: Session | None = None
        try:
            async with asyncio.timeout(within):
                session = Session(await self._connect(address, within), address, self._ids(), self._clock)
                await self._greet(session, within, create=create)
        except BaseException as error:
            if session is not None:
                session.drop()
            if isinstance(error, HoldfastError) or not isinstance(error, Exception):
                raise
            raise self._explained(error, address) from error
        self.home = address
        return session

    def _explained(self, error: Exception, address: object) -> HoldfastError:
        """Return what to raise for the driver's error.

        What the driver calls a refusal of TLS may be the last word of a process whose server was killed: it comes
        together with the answer about TLS. Only where the URL asks for TLS is it surely a matter for a person.
        """
        if "rejected SSL upgrade" in str(error) and not self.options.asks_for_tls:
            return unavailable(f"{self._at(address)}: the PostgreSQL server {BROKE_OFF}")
        if sqlstate(error) == UNAUTHENTICATED and password(self.options.url) is None:
            return unavailable(f"{self._at(address)}: the PostgreSQL server {NOT_GIVEN}", retryable=False)
        return explained(error, self._at(address))

    async def _connect(self, address: Address, within: float) -> Any:
        host, port = address
        url = self.options.url
        try:
            return await self._driver.connect(
                self.options.tls or None, host=host, port=port, user=url.username, password=password(url),
                database=self.options.database, timeout=within, target_session_attrs="any",
                max_cached_statement_lifetime=0, server_settings=self._settings(),
            )  # fmt: skip
        except self._driver.ClientConfigurationError as error:
            raise misused(error, self.place) from error
        except (
            FileNotFoundError
        ) as error:  # a certificate's file, or the socket of a server that does not run
            if host is not None and host.startswith("/"):
                raise
            raise misused(error, self.place) from error

    def _settings(self) -> Mapping[str, str]:
        """Return what every connection is set to, so that no role's or database's own settings change what it does."""
        limits = self.options.timeouts
        patience = str(int(800 * limits.commit) + 1)  # shorter than ours, so that the answer is certain
        settings = {
            "application_name": "holdfast", "search_path": "pg_catalog", "client_min_messages": "warning",
            "default_transaction_isolation": "read committed", "default_transaction_deferrable": "off",
            "statement_timeout": str(int(1000 * max(limits.read, limits.commit)) + 1), "lock_timeout": patience,
            "idle_in_transaction_session_timeout": patience, "tcp_keepalives_idle": "20",
            "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4", "jit": "off",
            # Every statement finds rows by key: one plan fits all arguments, and making another costs more than it
            # finds. A plan made while a table was small must not scan it when it is not.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
        }  # fmt: skip
        if self.options.synchronous_commit is not None:
            settings["synchronous_commit"] = self.options.synchronous_commit
        return settings

    async def _greet(self, session: Session, within: float, *, create: bool) -> None:
        (hello,) = await session.fetch(HELLO, self.options.schema, within=within)
        self._judge(hello, session.address, opening=create)
        await self._check_schema(session, within, made=hello["made"], create=create)
        if create:
            await session.fetch(self.statements.claim, self.options.url.namespace, within=within)
        await self._check_lineage(session, within)
        self.findings = findings_of(hello)

    def _judge(self, hello: Mapping[str, Any], address: object, *, opening: bool) -> None:
        at = self._at(address)
        if hello["server"] < OLDEST * 10_000:
            major = hello["server"] // 10_000
            raise Unsupported(f"{at}: PostgreSQL {major} is too old; use {OLDEST} or newer")
        if hello["standby"]:
            # While it runs, this is how a failover looks before the standby is promoted: worth waiting for.
            said = "is a standby, which takes no writes: give the primary's address, or all of them"
            raise unavailable(f"{at}: the PostgreSQL server {said}", retryable=not opening)
        if hello["read_only"]:
            said = f"is read-only for the role {hello['role']} (default_transaction_read_only is on): turn it off"
            raise unavailable(f"{at}: the PostgreSQL server {said}", retryable=False)
        if hello["encoding"] != "UTF8":
            raise Unsupported(
                f"{at}: the database {hello['database']} is encoded in {hello['encoding']}: use one of UTF8"
            )
        if hello["isolation"] != "read committed":
            raise Unsupported(f"{at}: the PostgreSQL server {POOLER}")

    async def _check_schema(self, session: Session, within: float, *, made: bool, create: bool) -> None:
        """Make the tables where they are missing or older; where nothing is to be made, no right to is needed."""
        schema = self.options.schema
        found = (await session.fetch(self.statements.version, within=within))[0]["version"] if made else 0
        check_version(found, schema)
        if is_current(found):
            return
        if not create:
            at = self._at(session.address)
            raise unavailable(f"{at}: the tables of this store in {schema!r} are gone", retryable=False)
        fetch, execute = partial(session.fetch, within=within), partial(session.execute, within=within)
        await execute("BEGIN")
        await migrate(fetch, execute, schema)
        await execute("COMMIT")

    async def _check_lineage(self, session: Session, within: float) -> None:
        """Raise WentBack where the server has lost what it acknowledged.

        What was known *before* it was asked counts: commits go on meanwhile on another connection.
        """
        before = copy.copy(self.lineage)
        newest = before.newest(self._clock.monotonic())
        rows = await session.fetch(self.statements.lineage, self.options.url.namespace, newest, within=within)
        head, remembers = (rows[0]["head"], rows[0]["remembers"]) if rows else (0, newest is None)
        with self.lineage.telling():
            before.check(head, remembers=remembers, url=self._at(session.address))
        self.lineage.head = max(self.lineage.head, head)

    def _at(self, address: object) -> str:
        """Return how messages call a host: the URL, and which one of several."""
        several = len(self.options.addresses) > 1
        host, port = address if isinstance(address, tuple) else (address, None)
        return f"{self.place} ({host}:{port or 5432})" if several else self.place


def _telling(error: HoldfastError) -> int:
    """Rank errors of several hosts: lost commits first, then what a person must mend, then what may pass."""
    if isinstance(error, WentBack):
        return 2
    return 0 if isinstance(error, Unavailable) and error.retryable else 1
