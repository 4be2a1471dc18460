"""A PostgreSQL server of one's own: primary or streaming replica, killed, hung and promoted at will.

PostgreSQL refuses to run as root: there it runs as the system user `postgres`.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.testing.servers.process import NotStarted, ServerProcess, find

__all__ = ("PostgresServer",)

SYSTEM_USER: Final = "postgres"
MEMORY: Final = 6
"""The line of its postmaster.pid that says which piece of System V memory is its own: key and id."""

QUIET: Final = {
    "unix_socket_permissions": "0777", "shared_buffers": "32MB", "max_connections": "60", "max_wal_size": "256MB",
    "autovacuum_naptime": "60s", "wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on",
    "logging_collector": "off", "lc_messages": "C", "dynamic_shared_memory_type": "mmap",
}  # fmt: skip


class PostgresServer(ServerProcess):
    """One server of a database `holdfast`, flushing as PostgreSQL does by itself (`fsync` on).

    `settings` are PostgreSQL's own; `password` is what the user `postgres` must give on TCP (without, nobody needs
    one); `replica_of` makes it a streaming replica that is called `name`; with `certificate` and `key` it speaks TLS.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        password: str | None = None,
        replica_of: "PostgresServer | None" = None,
        name: str = "replica",
        certificate: Path | None = None,
        key: Path | None = None,
        folder: str | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(folder=folder, port=port)
        self.settings = {**QUIET, **(settings or {})}
        self.password = password
        self.name = name
        self._replica_of = replica_of
        self._tls = (certificate, key)

    def elsewhere(self, folder: str) -> "PostgresServer":
        """Return another one with the same settings, not started, whose folder is made in `folder`."""
        return PostgresServer(self.settings, password=self.password, folder=folder)

    @property
    def url(self) -> str:
        """The URL of a store on it."""
        return self.url_of("postgres", self.password)

    def url_of(self, user: str, password: str | None = None, database: str = "holdfast") -> str:
        """Return the URL for a user of one's own."""
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """Where PostgreSQL keeps its files."""
        return self.folder / "data"

    @property
    def user(self) -> str | None:
        """Its system user: not root."""
        return SYSTEM_USER if os.geteuid() == 0 else None

    def command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground."""
        return [
            _program("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder),
            "-c", "listen_addresses=127.0.0.1",
        ]  # fmt: skip

    def answers(self) -> bool:
        """Return whether it can be used now."""
        asked = [_program("pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port), "-d", "postgres"]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0  # noqa: S603

    def start(self) -> None:
        """Start it, making its files where there are none, and return once it answers."""
        fresh = not self.data.exists()
        if fresh:
            self._create()
        super().start()
        if fresh and self._replica_of is None:
            self.sql("CREATE DATABASE holdfast", database="postgres")
            if self.password is not None:
                self.sql(f"ALTER ROLE postgres PASSWORD '{self.password}'")

    def stop(self) -> None:
        """Kill it; remove its folder, and the piece of System V memory that one which was killed leaves for good."""
        self.kill()
        with suppress(OSError, IndexError):  # its disk may be gone, or it never came to have any
            piece = (self.data / "postmaster.pid").read_text().splitlines()[MEMORY].split()[-1]
            subprocess.run([find("ipcrm") or "ipcrm", "-m", piece], check=False, capture_output=True)  # noqa: S603
        super().stop()

    def set(self, **settings: str) -> None:
        """Change settings of the running server, as far as it takes them without a restart."""
        self.settings.update(settings)
        self._write_settings()
        os.kill(self.pid, signal.SIGHUP)

    def promote(self) -> None:
        """Make a replica the primary, and return once it takes writes."""
        self.sql("SELECT pg_promote(true, 30)", database="postgres")

    def sql(self, statement: str, *, database: str = "holdfast") -> str:
        """Return what psql prints for a statement that the superuser runs; raises NotStarted with what it said."""
        return self._run("psql", "-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database,
                         "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement).strip()  # fmt: skip

    def _create(self) -> None:
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        if self._replica_of is None:
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        else:
            there = self._replica_of
            self._run("pg_basebackup", "-D", str(self.data), "-h", str(there.folder), "-p", str(there.port),
                      "-U", "postgres", "-R", "-c", "fast", "-X", "stream", "--no-sync")  # fmt: skip
        for place, name in zip(self._tls, ("server.crt", "server.key"), strict=True):
            if place is not None:
                self._write(name, place.read_text())
                self.settings["ssl"] = "on"
        self._write("pg_hba.conf", self._who_may_connect())
        self._write("postgresql.conf", "include 'holdfast.conf'\n")
        self._write_settings()

    def _who_may_connect(self) -> str:
        how = "trust" if self.password is None else "scram-sha-256"
        return f"local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 {how}\n"

    def _write_settings(self) -> None:
        lines = [f"{name} = '{value}'" for name, value in self.settings.items()]
        self._write("holdfast.conf", "\n".join([*lines, f"cluster_name = '{self.name}'", ""]))

    def _write(self, name: str, text: str) -> None:
        path = self.data / name
        path.write_text(text)
        path.chmod(0o600)
        if self.user is not None:
            shutil.chown(path, self.user)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603
            [_program(program), *arguments], check=False, capture_output=True, text=True, user=self.user,
            cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise NotStarted(f"{program} failed: {done.stderr[-2000:]}", log=done.stderr)
        return done.stdout


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise NotStarted(f"{name} is not installed", log="")
    return found
