"""observed: a store that counts and times what is done to it, for Prometheus (`pip install 'holdfast[metrics]'`).

    store = observed(open_store("redis://…"))        # or redis://…?observe=1
    prometheus_client.start_http_server(9464, addr="127.0.0.1")

    holdfast_store_operations_total{operation,outcome}      counter, e.g. operation="commit", outcome="conflict"
    holdfast_store_operation_seconds{operation}             histogram; of scan and read, the waiting alone
    holdfast_store_operations_in_progress{operation}        gauge

Each has the labels `backend` (the URL's scheme) and `namespace` too. No label is made of a key or a stream.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

from holdfast.errors import (
    Conflict,
    Corrupt,
    FromTheFuture,
    InvalidKey,
    InvalidValue,
    NotOpen,
    StoreFull,
    Unavailable,
    Unsupported,
    WentBack,
)
from holdfast.store.backends.network import driver, flag
from holdfast.store.base import Change, CommitId, Event, Key, Names, Record, Store
from holdfast.store.wrappers.base import Get, Wrapper, asked, ending
from holdfast.system import Clock, Ids, SystemClock

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ("Observed", "from_options", "observed")

T = TypeVar("T")

OUTCOMES: Final[Mapping[type[BaseException], str]] = {
    Conflict: "conflict",
    Corrupt: "corrupt",
    FromTheFuture: "corrupt",
    InvalidKey: "invalid",
    InvalidValue: "invalid",
    NotOpen: "not_open",
    StoreFull: "full",
    Unavailable: "unavailable",
    Unsupported: "unsupported",
    WentBack: "went_back",
    asyncio.CancelledError: "cancelled",
}
"""What an operation's exception is called; `unknown` is an Unavailable that may have happened, others are `error`."""

BUCKETS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)


class Metrics(Struct, frozen=True):
    """The three metrics of a registry, which all observed stores of a process share."""

    total: Any
    seconds: Any
    in_progress: Any


_METRICS: Final[WeakKeyDictionary[Any, Metrics]] = WeakKeyDictionary()


class Observed(Wrapper):
    """Counts and times every operation, also those that read past a cache inside."""

    def __init__(self, inner: Store, metrics: Metrics, clock: Clock) -> None:
        super().__init__(inner)
        self._metrics = metrics
        self._clock = clock
        self._backend = inner.url.partition(":")[0]

    async def open(self) -> None:
        """Open what is inside."""
        await self._timed("open", self.inner.open())

    async def close(self) -> None:
        """Close what is inside."""
        await self._timed("close", self.inner.close())

    async def _get(self, get: Get, keys: Sequence[Key]) -> list[Record | None]:
        return await self._timed("get", get(*keys))

    def scan(
        self, entity_name: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield the records of an entity name by id, as inside."""
        return self._passed_on("scan", self.inner.scan(entity_name, after=after, limit=limit))

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream, oldest first, as inside."""
        return self._passed_on("read", self.inner.read(stream, after=after, limit=limit))

    async def names(self) -> Names:
        """Return the entity names that have records, and the streams that have events, as inside."""
        return await self._timed("names", self.inner.names())

    async def last_number(self, stream: str) -> int:
        """Return the number of a stream's newest event, 0 where it has none, as inside."""
        return await self._timed("last_number", self.inner.last_number(stream))

    async def commit(
        self, changes: Sequence[Change], *, commit_id: CommitId | None = None, vital: bool = False
    ) -> CommitId:
        """Make all changes or none, as inside."""
        return await self._timed("commit", self.inner.commit(changes, commit_id=commit_id, vital=vital))

    async def _timed(self, operation: str, work: Awaitable[T]) -> T:
        watch = _Watch(self._clock)
        with self._observing(operation, watch), watch:
            return await work

    async def _passed_on(self, operation: str, found: AsyncIterator[T]) -> AsyncIterator[T]:
        # What the caller does between two items is not the store's time.
        watch = _Watch(self._clock)
        with self._observing(operation, watch):
            async with ending(found):
                while True:
                    try:
                        with watch:
                            item = await anext(found)
                    except StopAsyncIteration:
                        return
                    yield item

    @contextmanager
    def _observing(self, operation: str, watch: "_Watch") -> Iterator[None]:
        labels = (self._backend, self.namespace, operation)
        outcome = "ok"
        self._metrics.in_progress.labels(*labels).inc()
        try:
            yield
        except GeneratorExit:  # the caller has seen enough
            raise
        except BaseException as error:
            outcome = _outcome(error)
            raise
        finally:
            self._metrics.in_progress.labels(*labels).dec()
            self._metrics.total.labels(*labels, outcome).inc()
            self._metrics.seconds.labels(*labels).observe(watch.seconds)


class _Watch:
    """Adds up the time that is spent inside of it."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = self._clock.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += self._clock.monotonic() - self._since


def _outcome(error: BaseException) -> str:
    if isinstance(error, Unavailable) and getattr(error, "unknown", False):
        return "unknown"
    return next((name for kind, name in OUTCOMES.items() if isinstance(error, kind)), "error")


def observed(
    store: Store, registry: "CollectorRegistry | None" = None, *, clock: Clock | None = None
) -> Observed:
    """Return `store`, observed in a Prometheus registry (None: the process's own).

    All observed stores of one registry share its metrics. Raises Unsupported where prometheus_client is missing.
    """
    client = driver("prometheus_client", extra="metrics")
    return Observed(store, _metrics(client, registry or client.REGISTRY), clock or SystemClock())


def _metrics(client: Any, registry: Any) -> Metrics:
    if registry not in _METRICS:
        labels = ("backend", "namespace", "operation")
        _METRICS[registry] = Metrics(
            total=client.Counter(
                "holdfast_store_operations", "Operations on a store, by how they ended",
                (*labels, "outcome"), registry=registry,
            ),
            seconds=client.Histogram(
                "holdfast_store_operation_seconds", "How long an operation on a store took",
                labels, registry=registry, buckets=BUCKETS,
            ),
            in_progress=client.Gauge(
                "holdfast_store_operations_in_progress", "Operations on a store that are under way",
                labels, registry=registry,
            ),
        )  # fmt: skip
    return _METRICS[registry]


def from_options(inner: Store, options: Mapping[str, str], *, clock: Clock, ids: Ids) -> Store:
    """Return what `?observe=1` asks for; raises InvalidOption."""
    url = asked(inner, options, "observe")
    return observed(inner, clock=clock) if flag(url, "observe") else inner
