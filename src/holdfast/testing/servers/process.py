"""A server as a process of its own, in a temporary folder on a free loopback port.

A shell watches over each: it holds a pipe to us, and when that closes, however we ended, it kills the server and
removes the folder.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Self

from holdfast.errors import HoldfastError

__all__ = ("NotStarted", "ServerProcess", "family", "find", "free_port")

LIMIT: Final = 120.0
"""Seconds that a server may take to start, or to be gone."""

PORTS: Final = range(20_000, 32_768)
"""Below those of Linux for outgoing connections (`net.ipv4.ip_local_port_range`)."""

WATCH: Final = 'read -r _; kill -9 "$0" 2>/dev/null; kill -9 -- "-$0" 2>/dev/null; rm -rf "$1"'


class NotStarted(HoldfastError):
    """A server could not be started: `log` is what it said."""


class ServerProcess(ABC):
    """One server; use it as `with`. `start` after `kill` starts it again on the same folder and port.

    Its folder is made in `folder`, or in `place`: None is where temporary files go.
    """

    place: ClassVar[str | None] = None

    def __init__(self, *, folder: str | None = None, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-server-", dir=folder or self.place))
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    def elsewhere(self, folder: str) -> "ServerProcess":
        """Return another one with the same settings, not started, whose folder is made in `folder`."""
        raise NotImplementedError(f"{command_name(self)} cannot be made again")

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of a store on it."""

    @property
    def pid(self) -> int:
        """The id of its first process; 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return once it answers; a running one is left as it is. Raises NotStarted."""
        if self.running:
            return
        command = self.command()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # a program that the caller has installed
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd=self.folder, user=self.user, env=self.environment(),
            )  # fmt: skip
        self._watch_over(self._process.pid)
        self._await_answer()

    def kill(self) -> None:
        """Kill it and all its children with SIGKILL, and return when they are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        members = family(process.pid)
        for pid in members:
            _signal(pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + LIMIT
        while any(_alive(pid) for pid in members):
            if time.monotonic() > deadline:
                raise HoldfastError(f"{command_name(self)} does not die", pids=members)
            time.sleep(0.005)

    def pause(self) -> None:
        """Stop all its processes with SIGSTOP, and return when they are: connections stay, answers do not come."""
        for pid in (members := family(self.pid)):
            _signal(pid, signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT
        while any(_alive(pid) and not _stopped(pid) for pid in members):
            if time.monotonic() > deadline:
                raise HoldfastError(f"{command_name(self)} does not stop", pids=members)
            time.sleep(0.001)

    def resume(self) -> None:
        """Let them go on."""
        for pid in family(self.pid):
            _signal(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        self._unwatch()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def log(self) -> Path:
        """What it has written to its output."""
        return self.folder / "server.log"

    @property
    def user(self) -> str | None:
        """The system user it is to run as; None is ours."""
        return None

    def environment(self) -> dict[str, str] | None:
        """Return the environment it runs in; None is ours."""
        return None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it can be used now."""

    def _await_answer(self) -> None:
        deadline = time.monotonic() + LIMIT
        while not self.answers():
            if not self.running or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-2000:]
                raise NotStarted(f"{command_name(self)} did not start:\n{said}", log=said)
            time.sleep(0.01)

    def _watch_over(self, pid: int) -> None:
        self._unwatch()
        self._watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", WATCH, str(pid), str(self.folder)],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.kill()
            watch.communicate()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def command_name(server: ServerProcess) -> str:
    """Return what messages call a server."""
    return type(server).__name__


def find(program: str) -> str | None:
    """Return where a program is: on PATH, beside this interpreter, or where Debian keeps PostgreSQL's."""
    beside = Path(sys.executable).parent / program
    places = [shutil.which(program), beside, *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))]
    return next((str(place) for place in places if place and Path(place).is_file()), None)


def free_port() -> int:
    """Return a loopback port that is free now, and that the system gives to no outgoing connection.

    Else a server that is started again could find it taken by somebody who tried to reach it meanwhile.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def family(pid: int) -> list[int]:
    """Return a process and all its descendants (PostgreSQL's are in sessions of their own), parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [pid] if pid else []
    for one in found:
        found.extend(children.get(one, ()))
    return found


def _stat(pid: int) -> list[str] | None:
    """Return what /proc says of a process after its name: state, parent, …; None where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _alive(pid: int) -> bool:
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def _stopped(pid: int) -> bool:
    stat = _stat(pid)
    return stat is not None and stat[0] in "Tt"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
