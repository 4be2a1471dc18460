"""Which store serves a desk, and the typed faces of its domains."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import persist
from holdfast.errors import AdapterInUse, Corrupt, InvalidOption, StoreInUse, Unsupported
from holdfast.persist import Adapters, AdapterStore, PersistBase, persist_of
from holdfast.persist.data import (
    HistoryAdapter,
    RiskAdapter,
    RunAdapter,
    ScheduleAdapter,
    SignalAdapter,
    StateAdapter,
    SystemAdapter,
)
from holdfast.store import Key, Put, open_store
from holdfast.store.backends.memory import MemoryStore
from holdfast.trading.order import OrderState
from holdfast.trading.risk import Position, Positions
from holdfast.trading.signal import SignalRow
from tests.persist.custom import Database, FakeRedis, JsonFiles, adapter_on, redis_adapter

ROW = SignalRow(
    id="1",
    namespace="default",
    strategy="my-strategy",
    symbol="BTC/USDT:USDT",
    exchange="sim",
    side="long",
    status="open",
    take_profit=110.0,
    stop_loss=90.0,
    quantity=0.1,
    decided_at=60_000,
    entry=OrderState(
        client_id="hf-1", symbol="BTC/USDT:USDT", side="buy", type="market", quantity=0.1, status="open"
    ),
)
PLACE = Position(
    strategy="my-strategy", symbol="BTCUSDT", side="long", cost=1.5, quantity=1.0, since=0, signal_id="1"
)


@pytest.fixture
def adapters(tmp_path: Path) -> Adapters:
    return Adapters(base_dir=str(tmp_path / "data"))


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


KINDS = ["files", "memory", "adapters", "redis"]


def choose(adapters: Adapters, kind: str) -> None:
    if kind == "memory":
        adapters.use_store(MemoryStore())
    elif kind == "adapters":
        adapters.use("signal", JsonFiles)
    elif kind == "redis":
        adapters.use("signal", redis_adapter(FakeRedis()))


@pytest.mark.parametrize("kind", KINDS)
def test_typed_data_of_each_domain(adapters: Adapters, kind: str) -> None:
    choose(adapters, kind)
    signal, schedule = SignalAdapter(adapters), ScheduleAdapter(adapters)
    risk, state = RiskAdapter(adapters), StateAdapter(adapters)

    async def main() -> None:
        assert await signal.read_signal_data("my-strategy", ROW.symbol) is None
        assert not await signal.has_signal_data("my-strategy", ROW.symbol)
        await signal.write_signal_data(ROW, "my-strategy", ROW.symbol)
        assert await signal.read_signal_data("my-strategy", ROW.symbol) == ROW
        assert await schedule.read_schedule_data("my-strategy", ROW.symbol) is None
        await schedule.write_schedule_data(ROW, "my-strategy", ROW.symbol)
        await signal.write_signal_data(None, "my-strategy", ROW.symbol)
        assert await signal.read_signal_data("my-strategy", ROW.symbol) is None
        assert await signal.has_signal_data("my-strategy", ROW.symbol)
        assert await schedule.read_schedule_data("my-strategy", ROW.symbol) == ROW
        assert await schedule.has_schedule_data("my-strategy", ROW.symbol)

        places = Positions(entries={"my-strategy/BTCUSDT": PLACE})
        await risk.write_risk_data(places, "calm")
        assert await risk.read_risk_data("calm") == places
        assert await risk.has_risk_data("calm")
        assert not await risk.has_risk_data("wild")
        await state.write_state_data({"seen": [1]}, "my-strategy", "BTCUSDT")
        assert await state.read_state_data("my-strategy", "BTCUSDT") == {"seen": [1]}
        await state.write_state_data(None, "my-strategy", "BTCUSDT")
        assert await state.read_state_data("my-strategy", "BTCUSDT") is None
        assert await state.has_state_data("my-strategy", "BTCUSDT")
        async with adapters.opened() as store:
            names = (await store.names()).entities
            assert names == ("risk.calm", "schedule.my-strategy", "signal.my-strategy", "state.my-strategy")

    run(main)


def test_what_is_no_signal_is_not_taken_for_none(adapters: Adapters) -> None:
    async def main() -> None:
        adapters.use_store(MemoryStore())
        async with adapters.opened() as store:
            await store.commit([Put(Key("signal.s", "BTC"), {"side": "long"})])
        with pytest.raises(Corrupt):
            await SignalAdapter(adapters).read_signal_data("s", "BTC")

    run(main)


def test_the_default_is_files_that_entity_views_share(adapters: Adapters) -> None:
    async def main() -> None:
        async with adapters.opened() as store, PersistBase("notes", adapters.base_dir) as notes:
            assert store.url.startswith("file:")
            await notes.write_value("a", 1)
            assert [record and record.value for record in await store.get(Key("notes", "a"))] == [1]
            async with adapters.opened() as again:
                assert again is store
            await store.get()  # still open
        async with open_store(f"file:{adapters.base_dir}"):
            pass  # and closed with the last

    run(main)


def test_nothing_is_opened_before_it_is_needed(adapters: Adapters) -> None:
    adapters.store()
    assert not Path(adapters.base_dir).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_can_be_chosen_while_a_run_goes_on(adapters: Adapters, kind: str) -> None:
    choose(adapters, kind)
    faces: list[Callable[[Any], None]] = [
        SignalAdapter(adapters).use_persist_signal_adapter,
        ScheduleAdapter(adapters).use_persist_schedule_adapter,
        RiskAdapter(adapters).use_persist_risk_adapter,
        StateAdapter(adapters).use_persist_state_adapter,
        RunAdapter(adapters).use_persist_run_adapter,
        HistoryAdapter(adapters).use_persist_history_adapter,
        SystemAdapter(adapters).use_persist_system_adapter,
    ]
    with adapters.running(), adapters.running():
        assert adapters.in_use
        for use in faces:
            with pytest.raises(AdapterInUse):
                use(JsonFiles)
        with pytest.raises(AdapterInUse):
            adapters.use_store("memory:")
    assert not adapters.in_use
    for use in faces:
        use(JsonFiles)
    assert isinstance(adapters.store(), AdapterStore)


def test_choices_that_make_no_sense_are_refused(adapters: Adapters) -> None:
    with pytest.raises(InvalidOption, match="no domain"):
        adapters.use("signals", JsonFiles)
    with pytest.raises(InvalidOption, match="callable"):
        adapters.use("signal", "redis://")  # type: ignore[arg-type]
    with pytest.raises(InvalidOption):
        adapters.use_store("./logs/data")
    adapters.use_store("nosuch:x")
    with pytest.raises(Unsupported):
        adapters.store()
    adapters.use_store("memory:")
    adapters.use("risk", JsonFiles)
    assert isinstance(adapters.store(), AdapterStore)  # the store serves what the adapter does not


def test_an_adapter_for_risk_alone_is_refused(adapters: Adapters) -> None:
    adapters.use("risk", JsonFiles)
    with pytest.raises(InvalidOption, match="use_persist_signal_adapter"):
        adapters.store()


def test_a_store_registered_as_every_adapter_is_the_one_store(adapters: Adapters) -> None:
    store = MemoryStore()
    adapters.use("signal", persist_of(store))
    assert adapters.store() is store
    adapters.use("risk", persist_of(store))
    assert adapters.store() is store
    adapters.use("state", persist_of(MemoryStore()))
    assert isinstance(adapters.store(), AdapterStore)
    adapters.use_store("memory:")
    assert isinstance(adapters.store(), MemoryStore)


async def test_one_domain_elsewhere_and_the_rest_in_the_store(tmp_path: Path) -> None:
    """Hybrid: what has no adapter of its own is in the store that was chosen, and not with the signals."""
    signals, rest = MemoryStore(), MemoryStore()
    adapters = Adapters(base_dir=str(tmp_path))
    adapters.use_store(rest)
    adapters.use("signal", persist_of(signals))
    async with signals, rest, adapters.opened() as store:
        await store.commit([Put(Key("signal.s", "A"), 1), Put(Key("risk.r", "positions"), 2)])
        assert await signals.get(Key("risk.r", "positions")) == [None]
        assert await rest.get(Key("signal.s", "A")) == [None]
        [signal], [risk] = await signals.get(Key("signal.s", "A")), await rest.get(Key("risk.r", "positions"))
        assert signal is not None
        assert risk is not None
        assert (signal.value["value"], risk.value["value"]) == (1, 2)


def test_the_file_store_registered_as_it_is_is_the_default(adapters: Adapters) -> None:
    adapters.use("signal", PersistBase)
    adapters.use("risk", PersistBase)
    assert adapters.store().atomicity == "commit"
    adapters.use("risk", JsonFiles)
    assert adapters.store().atomicity == "recovery"


def test_entity_views_on_the_folder_of_adapters(adapters: Adapters) -> None:
    adapters.use("signal", adapter_on(Database()))

    async def main() -> None:
        for value in range(2):
            async with adapters.opened() as store, PersistBase("notes", adapters.base_dir) as notes:
                await notes.write_value("a", value)
                await store.commit([Put(Key("signal.s", "BTC"), value)])
                assert await notes.read_value("a") == value

    run(main)


def test_adapters_are_not_forgotten_for_files(adapters: Adapters) -> None:
    async def main() -> None:
        adapters.use("signal", adapter_on(Database()))
        async with adapters.opened() as store:
            await store.commit([Put(Key("signal.s", "BTC"), 1)])
        other = Adapters(base_dir=adapters.base_dir)
        with pytest.raises(InvalidOption, match="holdfast store copy"):
            other.store()
        Adapters(base_dir=adapters.base_dir, namespace="other").store()

    run(main)


def test_one_adapter_store_is_shared_by_all_who_use_it(adapters: Adapters) -> None:
    async def main() -> None:
        adapters.use("signal", adapter_on(Database()))
        async with adapters.opened() as one, adapters.opened() as two:
            assert one is two
            await SignalAdapter(adapters).write_signal_data(ROW, "my-strategy", "BTC")
            with pytest.raises(StoreInUse):
                await Adapters.store(adapters).open()

    run(main)


def test_a_memory_store_by_url_keeps_what_it_holds_between_uses(adapters: Adapters) -> None:
    async def main() -> None:
        adapters.use_store("memory:")
        async with adapters.opened() as store:
            await store.commit([Put(Key("signal.s", "BTC"), None)])
        assert await SignalAdapter(adapters).has_signal_data("s", "BTC")

    run(main)


def test_module_level_names_are_views_of_one_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert holdfast.PersistSignalAdapter is persist.PersistSignalAdapter
    assert holdfast.PersistBase is PersistBase
    fresh = Adapters()
    monkeypatch.setattr(persist.PersistSignalAdapter, "_adapters", fresh)
    persist.PersistSignalAdapter.use_persist_signal_adapter(JsonFiles)
    assert isinstance(fresh.store(), AdapterStore)


@pytest.mark.parametrize("kind", KINDS)
def test_data_is_read_and_written_while_a_run_is_in_the_background(adapters: Adapters, kind: str) -> None:
    choose(adapters, kind)
    signal = SignalAdapter(adapters)
    started, ended = threading.Event(), threading.Event()

    async def trade() -> None:
        with adapters.running():
            async with adapters.opened() as store:
                started.set()
                await asyncio.to_thread(ended.wait, 10)
                assert await store.get(Key("signal.my-strategy", "BTC")) != [None]

    async def main() -> None:
        await signal.write_signal_data(ROW, "my-strategy", "BTC")
        assert await signal.read_signal_data("my-strategy", "BTC") == ROW
        assert not await signal.has_signal_data("my-strategy", "ETH")

    with ThreadPoolExecutor(1) as thread:
        run_of_it = thread.submit(asyncio.run, trade())
        assert started.wait(100)
        asyncio.run(main())
        ended.set()
        run_of_it.result()


def test_a_run_that_ends_meanwhile_is_not_waited_for(adapters: Adapters) -> None:
    adapters.use_store(MemoryStore())
    home = asyncio.new_event_loop()
    started, asked = threading.Event(), threading.Event()

    def end() -> None:
        started.set()
        asked.wait(100)
        home.stop()  # what was scheduled meanwhile is never done

    async def main() -> None:
        with adapters.running():
            adapters._homes[:] = [home]
            reading = asyncio.ensure_future(SignalAdapter(adapters).has_signal_data("s", "BTC"))
            await asyncio.sleep(0.05)
            asked.set()
            assert await reading is False
            adapters._homes[:] = [asyncio.get_running_loop()]

    home.call_soon(end)
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(home.run_forever)
        assert started.wait(100)
        asyncio.run(main())
        done.result()

    async def rest() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    home.run_until_complete(rest())
    home.run_until_complete(rest())
    home.close()


def test_the_namespace_of_a_url_is_the_desks() -> None:
    adapters = Adapters()
    adapters.use_store("memory:?namespace=blue")
    assert (adapters.namespace, adapters.store().namespace) == ("blue", "blue")


def test_the_namespace_of_a_store_is_the_desks() -> None:
    adapters = Adapters()
    adapters.use_store(MemoryStore(namespace="green"))
    assert adapters.namespace == "green"
