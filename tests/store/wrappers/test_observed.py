"""What Prometheus is told: every operation, how it ended, how long the store took; labels that do not grow."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from holdfast.errors import (
    Conflict,
    InvalidOption,
    InvalidValue,
    NotOpen,
    StoreFull,
    Unavailable,
    Unsupported,
)
from holdfast.store import ABSENT, Append, Key, Put, Store, cached, observed, open_store
from holdfast.store.backends import network
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.observed import Observed
from tests.store.contract import A, StoreContract, everything, value
from tests.store.wrappers.doubles import Clock, Gate


class TestObservedMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return open_store("memory:?observe=1")


class TestObservedFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(f"file:{tmp_path}/data?observe=1")


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.gate = Gate(MemoryStore(namespace="blue", clock=self.clock))
        self.store = observed(self.gate, self.registry, clock=self.clock)

    def count(self, operation: str, outcome: str = "ok") -> float:
        labels = {"backend": "memory", "namespace": "blue", "operation": operation, "outcome": outcome}
        return self.registry.get_sample_value("holdfast_store_operations_total", labels) or 0.0

    def sample(self, name: str, operation: str) -> float:
        labels = {"backend": "memory", "namespace": "blue", "operation": operation}
        return self.registry.get_sample_value(f"holdfast_store_{name}", labels) or 0.0


async def test_every_operation_is_counted() -> None:
    bench = Bench()
    async with bench.store as store:
        await store.commit([Put(A, 1), Append("s", 1), Append("s", 2)])
        await store.get(A)
        await store.fresh(A)
        await everything(store.scan("signal.one"))
        await everything(store.read("s"))
        await store.names()
        await store.last_number("s")
    counted = {
        name: bench.count(name) for name in ("open", "close", "commit", "get", "scan", "read", "names")
    }
    assert counted == {"open": 1, "close": 1, "commit": 1, "get": 2, "scan": 1, "read": 1, "names": 1}
    assert bench.count("last_number") == 1


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Conflict("no", key=A), "conflict"),
        (Unavailable("cut", unknown=True), "unknown"),
        (Unavailable("down", unknown=False), "unavailable"),
        (Unavailable("nobody said"), "unavailable"),
        (StoreFull("full"), "full"),
        (RuntimeError("a bug"), "error"),
    ],
)
async def test_how_it_ended(failure: Exception, outcome: str) -> None:
    bench = Bench()
    async with bench.store as store:
        bench.gate.fails = failure
        with pytest.raises(type(failure)):
            await store.commit([Put(A, 1)])
        assert bench.count("commit", outcome) == 1
        assert bench.count("commit") == 0


async def test_refused_cancelled_and_not_open() -> None:
    bench = Bench()
    with pytest.raises(NotOpen):
        await bench.store.get(A)
    assert bench.count("get", "not_open") == 1
    async with bench.store as store:
        with pytest.raises(InvalidValue):
            await store.commit([Put(A, object())])
        assert bench.count("commit", "invalid") == 1
        bench.gate.held = True
        reading = asyncio.ensure_future(store.get(A))
        await bench.gate.happened.wait()
        assert bench.sample("operations_in_progress", "get") == 1
        reading.cancel()
        await asyncio.wait([reading])
        assert bench.sample("operations_in_progress", "get") == 0
        assert bench.count("get", "cancelled") == 1


async def test_seconds_are_those_of_the_store() -> None:
    bench = Bench()
    async with bench.store as store:
        bench.gate.held = True
        reading = asyncio.ensure_future(store.get(A))
        await bench.gate.happened.wait()
        bench.clock.passed += 2
        bench.gate.held = False
        bench.gate.answer.set()
        await reading
        assert bench.sample("operation_seconds_sum", "get") == 2
        await store.commit([Put(Key("n", str(i)), i) for i in range(3)])
        async for _ in store.scan("n"):
            bench.clock.passed += 10  # the reader's own time
        assert bench.sample("operation_seconds_sum", "scan") == 0
        assert bench.sample("operation_seconds_count", "scan") == 1


async def test_a_scan_that_is_left_early_is_over() -> None:
    bench = Bench()
    async with bench.store as store:
        await store.commit([Put(Key("n", str(i)), i) for i in range(3)])
        found = store.scan("n")
        await anext(found)
        assert bench.sample("operations_in_progress", "scan") == 1
        await found.aclose()  # type: ignore[attr-defined]
        assert bench.sample("operations_in_progress", "scan") == 0
        assert bench.count("scan") == 1


async def test_reads_past_a_cache_inside_are_counted_too() -> None:
    registry = CollectorRegistry()
    theirs = MemoryStore()
    store = observed(cached(theirs), registry)
    async with store:
        await value(store, A)
        await theirs.commit([Put(A, 1)])
        assert (await value(store, A), await value(store.uncached, A)) == (None, 1)
    labels = {"backend": "memory", "namespace": "default", "operation": "get", "outcome": "ok"}
    assert registry.get_sample_value("holdfast_store_operations_total", labels) == 3


async def test_two_stores_share_the_metrics() -> None:
    one, two = open_store("memory:?observe=1&namespace=one"), open_store("memory:?observe=1&namespace=two")
    async with one, two:
        await one.get(A)
        await two.get(A)
    said = generate_latest(REGISTRY).decode()
    for name in ("one", "two"):
        assert f'namespace="{name}",operation="get",outcome="ok"' in said


async def test_labels_do_not_grow_with_what_is_stored() -> None:
    bench = Bench()
    async with bench.store as store:
        series = []
        for turn in range(2):
            for number in range(50):
                await store.commit([Put(Key(f"n{turn}.{number}", str(number)), 1), Append(f"s{number}", 1)])
                await store.get(Key(f"n{number}", "x"))
            series.append(sum(len(list(metric.samples)) for metric in bench.registry.collect()))
    assert series[0] == series[1]


def test_options() -> None:
    assert not isinstance(open_store("memory:?observe=0"), Observed)
    for query in ("observe=perhaps", "observe=1&observe_port=9", "observe_port=9"):
        with pytest.raises(InvalidOption):
            open_store(f"memory:?{query}")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Iterator[None]:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(network, "import_module", missing)
    with pytest.raises(Unsupported, match=r"holdfast\[metrics\]"):
        open_store("memory:?observe=1")


def test_extras_are_loaded_only_by_those_who_ask() -> None:
    code = (
        "import sys, holdfast.store; holdfast.store.open_store('memory:?cache=9'); "
        "print([m for m in ('cryptography', 'prometheus_client') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


async def test_a_commit_that_expects_wrongly_is_a_conflict() -> None:
    bench = Bench()
    async with bench.store as store:
        await store.commit([Put(A, 1, ABSENT)])
        with pytest.raises(Conflict):
            await store.commit([Put(A, 1, ABSENT)])
        assert (bench.count("commit"), bench.count("commit", "conflict")) == (1, 1)
