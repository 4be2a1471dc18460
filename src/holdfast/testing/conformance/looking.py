"""What a store says of itself, and whom this process gets connected to by opening it."""

import os
import socket
from contextlib import suppress

from holdfast.testing.conformance.case import fresh_namespace
from holdfast.testing.conformance.subject import Found, Subject

__all__ = ("look", "peers")


async def look(subject: Subject) -> Found:
    """Return what a store says of itself once it is open; raises what opening it raises."""
    before = peers()
    async with subject.make(fresh_namespace()) as store:
        await store.names()
        return Found(
            url=store.url, shared=store.shared, durability=store.durability, atomicity=store.atomicity,
            warnings=store.warnings, peers=tuple(sorted(peers() - before)),
        )  # fmt: skip


def peers() -> set[str]:
    """Return whom this process has connections to, by TCP or by a socket that has a name."""
    return set(filter(None, map(_peer, os.listdir("/dev/fd"))))


def _peer(fd: str) -> str:
    with suppress(OSError):
        copy = os.dup(int(fd))
        try:
            peer = socket.socket(fileno=copy)
        except OSError:  # it is no socket
            os.close(copy)
            return ""
        with peer:
            match peer.getpeername():
                case (str(host), int(port), *_):
                    return f"{host}:{port}"
                case str(path):
                    return path
    return ""
