"""A store server that several bots share, over the simulated network; and the store as one process has it.

The server may lose its newest commits, as one does that fails over to a replica which lags behind. It knows of each
commit whose it was, and by whom the strategies and symbols in it were held at that instant.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from holdfast.errors import NotOpen, StoreFull, Unavailable
from holdfast.store import Append, Change, CommitId, Durability, Event, Key, Names, Record, Store
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.lineage import Lineage
from holdfast.store.workers import WORKER, owner_key, worker_key, worker_of
from holdfast.system import Process
from holdfast.testing.simulation.chronicle import View, view_of
from holdfast.testing.simulation.exchange import ExchangeClock
from holdfast.testing.simulation.network import Cut, Network
from holdfast.testing.simulation.process import SimulatedProcess
from holdfast.testing.simulation.world import World

__all__ = ("SERVER", "SharedClient", "StoreServer", "at_once")

T = TypeVar("T")
Hello = tuple[int, int, bool]

SERVER: Final = "store"
TIMEOUT: Final = 2.0


class StoreServer:
    """A server: one namespace, in which every commit happens at one instant. `trespasses` are those of non-owners.

    `epoch` changes when it fails over: connections of before are cut. `full` says that it has no room left. A replica
    is written to by whoever follows, not by owners; `views` are what could be read of it after each of its commits.
    """

    def __init__(self, world: World, name: str = SERVER, *, replica: bool = False) -> None:
        self.name = name
        self.replica = replica
        self.opened: Callable[[Record], Record] = lambda record: (
            record
        )  # who has the key of what is encrypted
        self.views: list[View] = []
        self.full = False
        self._clock = ExchangeClock(world)
        self._commits: list[tuple[CommitId, tuple[Change, ...]]] = []
        self.store = self._empty()
        self.epoch = 1
        self.lost = 0
        self.trespasses: list[str] = []

    def hello(self, newest: CommitId | None) -> Hello:
        """Return what a new connection asks first: the epoch, the head, and whether that commit is there."""
        remembers = newest is None or newest in self.store._recent
        return self.epoch, self.store.head, remembers

    def commit(
        self, epoch: int, changes: Sequence[Change], commit_id: CommitId, process: Process
    ) -> tuple[CommitId, int]:
        """Make all changes or none; return the id and the head. Raises Cut on a connection of an earlier epoch."""
        self.check(epoch)
        if commit_id not in self.store._recent:
            if self.full:
                raise StoreFull(f"{self.name} has no room left")
            strangers = [] if self.replica else self._strangers(changes, process)
            at_once(self.store.commit(changes, commit_id=commit_id))
            self.trespasses += strangers
            self._commits.append((commit_id, tuple(changes)))
            if self.replica:
                self.views.append(view_of(self.store))
        return commit_id, self.store.head

    def check(self, epoch: int) -> None:
        """Raise Cut on a connection of an earlier epoch."""
        if epoch != self.epoch:
            raise Cut("the connection was to a server that is no more")

    def go_back(self, commits: int) -> None:
        """Lose the newest commits, and every connection."""
        kept = self._commits[: len(self._commits) - commits]
        self.lost += len(self._commits) - len(kept)
        self.epoch += 1
        self.store, self._commits = self._empty(), kept
        for commit_id, changes in kept:
            at_once(self.store.commit(changes, commit_id=commit_id))

    def _strangers(self, changes: Sequence[Change], process: Process) -> list[str]:
        """Return which events of a commit are about what another process holds at this instant."""
        names = {c.stream for c in changes if isinstance(c, Append) and c.stream.partition(".")[0] in SEATS}
        wrong = []
        for name in sorted(names):
            _, strategy, symbol = name.split(".", 2)
            [owner] = at_once(self.store.get(owner_key((strategy, symbol))))
            by = None if owner is None else worker_key(worker_of(self.opened(owner)))
            [worker] = [None] if by is None else at_once(self.store.get(by))
            if worker is None or WORKER.from_document(self.opened(worker).value).process != process:
                wrong.append(f"process {process.pid} of {process.host} committed about {symbol}, not its own")
        return wrong

    def _empty(self) -> MemoryStore:
        store = MemoryStore(clock=self._clock, ids=lambda: "never asked")
        at_once(store.open())
        return store


SEATS: Final = ("history", "system")


class SharedClient(Store):
    """The store as one process has it: what is not answered is Unavailable, and unknown where it was a commit.

    A new connection (after each failure) asks first whether the server still has what it acknowledged.
    """

    durability = Durability.FAILOVER
    shared = True

    def __init__(self, process: SimulatedProcess, network: Network, server: StoreServer) -> None:
        self.url = f"simulated://{server.name}"
        self.namespace = "default"
        self._process = process
        self._network = network
        self._server = server
        self._lineage = Lineage()
        self._is_open = False
        self._epoch = 0

    async def open(self) -> None:
        """Reach the server."""
        if not self._is_open:
            self._lineage.begin()
            await self._connected()
            self._is_open = True

    async def close(self) -> None:
        """Let go of the server."""
        self._is_open, self._epoch = False, 0

    async def get(self, *keys: Key) -> list[Record | None]:
        """Return the records of `keys`, from one snapshot."""
        self._check_open()
        return await self._ask("get", lambda: at_once(self._server.store.get(*keys))) if keys else []

    async def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id."""
        self._check_open()
        options: dict[str, Any] = {"after": after, "limit": limit}
        for record in await self._ask(
            "scan", lambda: listed(self._server.store.scan(entity_name, **options))
        ):
            yield record

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first."""
        self._check_open()
        options: dict[str, Any] = {"after": after, "limit": limit}
        for event in await self._ask("read", lambda: listed(self._server.store.read(stream, **options))):
            yield event

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events."""
        self._check_open()
        return await self._ask("names", lambda: at_once(self._server.store.names()))

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none."""
        self._check_open()
        return await self._ask("last", lambda: at_once(self._server.store.last_number(stream)))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none; Unavailable is unknown, since the request may arrive yet."""
        self._check_open()
        chosen, process = self._process.ids() if commit_id is None else commit_id, self._process.this()
        epoch = await self._connected()
        done, head = await self._call(
            "commit", lambda: self._server.commit(epoch, changes, chosen, process), unknown=True
        )
        self._lineage.acknowledged(done, head, self._process.monotonic())
        return done

    async def _ask(self, kind: str, act: Callable[[], T]) -> T:
        epoch = await self._connected()

        def answer() -> T:
            self._server.check(epoch)
            return act()

        return await self._call(kind, answer)

    async def _connected(self) -> int:
        """Return the epoch of a connection on which nothing is missing; raises WentBack."""
        if not self._epoch:
            known, newest = self._lineage.head, self._lineage.newest(self._process.monotonic())
            epoch, head, remembers = await self._call("hello", lambda: self._server.hello(newest))
            with self._lineage.telling():
                self._lineage.check(head, remembers=remembers, url=self.url, known=known)
            self._epoch = epoch
        return self._epoch

    async def _call(self, kind: str, act: Callable[[], T], *, unknown: bool = False) -> T:
        try:
            return await self._network.call(self._process, self._server.name, kind, act, within=TIMEOUT)
        except (TimeoutError, Cut) as error:
            self._epoch = 0
            raise Unavailable(f"{self.url}: {error}", unknown=unknown) from error

    def _check_open(self) -> None:
        if not self._is_open:
            raise NotOpen("the store is not open", url=self.url)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")


def listed(found: AsyncIterator[T]) -> list[T]:
    """Return all of an iterator that never waits."""

    async def everything() -> list[T]:
        return [one async for one in found]

    return at_once(everything())
