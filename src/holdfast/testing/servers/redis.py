"""Throw-away Redis servers: one, a replica, a cluster of three, one master with replicas and sentinels.

with RedisServer(appendfsync="always") as master, RedisServer(replica_of=master) as replica: ...
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from msgspec import Struct

from holdfast.errors import HoldfastError
from holdfast.testing.servers.process import LIMIT, ServerProcess, find, free_port

__all__ = ("RedisCluster", "RedisSentinels", "RedisServer", "Tls")


class Tls(Struct, frozen=True):
    """The files of a certificate authority and of a certificate it has signed."""

    ca: Path
    certificate: Path
    key: Path


class RedisServer(ServerProcess):
    """One `redis-server` that listens on 127.0.0.1 (and on `socket`), and keeps its data in its folder.

    `config` are further lines of its configuration. With `tls` its port speaks TLS only.
    """

    def __init__(
        self, *, appendonly: bool = True, appendfsync: str = "always", password: str | None = None,
        tls: Tls | None = None, replica_of: "RedisServer | None" = None,
        config: Mapping[str, str] | None = None, folder: str | None = None, port: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(folder=folder, port=port)
        self.password = password
        self.socket = self.folder / "redis.sock"
        self._tls = tls
        self._master = replica_of
        self._config = {
            "appendonly": "yes" if appendonly else "no", "appendfsync": appendfsync,
            "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1", **(config or {}),
        }  # fmt: skip

    def elsewhere(self, folder: str) -> "RedisServer":
        """Return another one with the same settings, not started, whose folder is made in `folder`."""
        return RedisServer(password=self.password, config=self._config, folder=folder)

    @property
    def url(self) -> str:
        """The URL of a store on it, by TCP and with its password."""
        user = f":{quote(self.password, safe='')}@" if self.password else ""
        scheme, query = ("rediss", f"?tls_ca={self._tls.ca}") if self._tls else ("redis", "")
        return f"{scheme}://{user}127.0.0.1:{self.port}/0{query}"

    @property
    def unix_url(self) -> str:
        """The URL of a store on it, by its socket and with its password."""
        user = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"unix://{user}{self.socket}"

    def command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground."""
        program = find("redis-server") or "redis-server"
        return [program, *(word for name, value in self._options() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        """Return whether it can be used now; a replica: whether it has its master's data."""
        import redis

        try:
            found = self.ask("INFO", "replication")
        except redis.RedisError:
            return False
        return self._master is None or b"master_link_status:up" in found

    def ask(self, *command: str | bytes | int) -> Any:
        """Return the raw answer (RESP 2) to a command, sent on a connection of its own."""
        import redis

        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self._tls.ca)} if self._tls else {}
        # The client would send a command that takes longer than its limit a second time.
        with redis.Redis(
            port=self.port, host="127.0.0.1", password=self.password, protocol=2, socket_timeout=LIMIT, **tls
        ) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def _options(self) -> list[tuple[str, str]]:
        port = [("port", "0"), ("tls-port", str(self.port))] if self._tls else [("port", str(self.port))]
        options = [
            *port, ("bind", "127.0.0.1"), ("dir", str(self.folder)), ("save", ""),
            ("unixsocket", str(self.socket)), *self._config.items(),
        ]  # fmt: skip
        if self._tls:
            options += [
                ("tls-ca-cert-file", str(self._tls.ca)), ("tls-cert-file", str(self._tls.certificate)),
                ("tls-key-file", str(self._tls.key)), ("tls-auth-clients", "no"),
            ]  # fmt: skip
        if self.password:
            options += [("requirepass", self.password), ("masterauth", self.password)]
        if self._master is not None:
            options.append(("replicaof", f"127.0.0.1 {self._master.port}"))
        return options


class RedisCluster:
    """Three masters that share the slots; use it as `with`."""

    def __init__(self, *, config: Mapping[str, str] | None = None) -> None:
        settings = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", **(config or {})}
        self._buses = [free_port() for _ in range(3)]  # not port + 10,000, which need not be free, nor a port
        self.nodes = tuple(RedisServer(config={**settings, "cluster-port": str(bus)}) for bus in self._buses)
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The URL of a store on it."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}/"

    def owner(self, key: str) -> RedisServer:
        """Return the node that has the slot of a key."""
        slot = self.nodes[0].ask("CLUSTER", "KEYSLOT", key)
        return next(node for node in self.nodes if any(_within(slot, part) for part in self._parts(node)))

    def id_of(self, node: RedisServer) -> str:
        """Return the name that the cluster knows a node by."""
        return _text(node.ask("CLUSTER", "MYID"))

    def _parts(self, node: RedisServer) -> list[list[str]]:
        lines = [line.split() for line in _text(node.ask("CLUSTER", "NODES")).splitlines()]
        mine = next(line for line in lines if "myself" in line[2])
        return [part.split("-") for part in mine[8:] if not part.startswith("[")]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _form(self) -> None:
        bounds = [0, 5461, 10923, 16384]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._buses[0])
        _until(lambda: all(self._whole(node) for node in self.nodes), "the cluster does not form")

    def _whole(self, node: RedisServer) -> bool:
        found = _text(node.ask("CLUSTER", "INFO"))
        return "cluster_state:ok" in found and "cluster_known_nodes:3" in found


class RedisSentinels:
    """A master, its replicas, and three sentinels that fail over quickly; use it as `with`."""

    service = "holdfast-test"

    def __init__(self, *, replicas: int = 1, config: Mapping[str, str] | None = None) -> None:
        self.master = RedisServer(config=config)
        self.replicas = tuple(RedisServer(replica_of=self.master, config=config) for _ in range(replicas))
        self.sentinels = tuple(_Sentinel(self.master, self.service) for _ in range(3))
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The URL of a store on whichever server is the master."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}/0"

    def current(self) -> int:
        """Return the port of the server that the first sentinel takes for the master."""
        return int(self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in (self.master, *self.replicas, *self.sentinels):
                stack.enter_context(server)
            _until(self._know_each_other, "the sentinels do not find each other")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _know_each_other(self) -> bool:
        return all(sentinel.sees(len(self.replicas)) for sentinel in self.sentinels)


class _Sentinel(RedisServer):
    def __init__(self, master: RedisServer, service: str) -> None:
        super().__init__()
        self._service = service
        (self.folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {service} 127.0.0.1 {master.port} 2\n"
            f"sentinel down-after-milliseconds {service} 500\nsentinel failover-timeout {service} 3000\n"
        )

    def command(self) -> Sequence[str]:
        return [find("redis-server") or "redis-server", str(self.folder / "sentinel.conf"), "--sentinel"]

    def answers(self) -> bool:
        import redis

        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False

    def sees(self, replicas: int) -> bool:
        """Return whether it knows that many replicas, and the two other sentinels."""
        answer = self.ask("SENTINEL", "MASTER", self._service)
        found = dict(zip(map(_text, answer[::2]), answer[1::2], strict=True))
        return (int(found["num-slaves"]), int(found["num-other-sentinels"])) == (replicas, 2)


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _within(slot: int, part: Sequence[str]) -> bool:
    return int(part[0]) <= slot <= int(part[-1])


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise HoldfastError(otherwise)
        time.sleep(0.02)
