"""A store on adapters of four methods: what it makes of their faults, of raw rows, and of each other."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import (
    Conflict,
    Corrupt,
    FromTheFuture,
    InvalidKey,
    InvalidOption,
    NotOpen,
    StoreFull,
    StoreInUse,
    Unavailable,
    Unsupported,
)
from holdfast.persist import AdapterStore, PersistBase, persist_of
from holdfast.persist.rows import OWN
from holdfast.store import (
    ABSENT,
    Append,
    Change,
    Check,
    Delete,
    Durability,
    Key,
    Names,
    Put,
    Store,
    open_store,
)
from holdfast.store.backends.memory import MemoryStore
from holdfast.system import SystemClock
from tests.persist.custom import NEVER, Database, FakeRedis, adapter_on, failing, redis_adapter

BTC, ETH = Key("signal.s", "BTCUSDT"), Key("signal.s", "ETHUSDT")
STATE = Key("state.s", "BTCUSDT")


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def make(database: Database, tmp_path: Path) -> Callable[..., AdapterStore]:
    """Return what makes stores on the database, as each start does."""

    def made(served: dict[str, Any] | None = None, **options: Any) -> AdapterStore:
        options = {"base_dir": str(tmp_path), "heartbeat": NEVER, **options}
        return AdapterStore(served or {"signal": adapter_on(database)}, **options)

    return made


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


async def values(store: Store, *keys: Key) -> list[Any]:
    return [None if record is None else record.value for record in await store.get(*keys)]


async def events(store: Store, stream: str) -> list[Any]:
    return [event.value async for event in store.read(stream)]


def test_a_folder_that_cannot_be_made_is_a_typed_error(
    make: Callable[..., AdapterStore], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        with pytest.raises(Unavailable, match="not a folder"):
            await make(base_dir=str(tmp_path / "file" / "below")).open()

    run(main)


def test_everything_is_there_at_the_next_start(make: Callable[..., AdapterStore]) -> None:
    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1), Put(STATE, {"n": 1}), Append("history.s.BTCUSDT", "opened")])
            await store.commit(
                [Put(ETH, 2), Append("history.s.BTCUSDT", "a"), Append("history.s.BTCUSDT", "b")]
            )
            await store.commit([Delete(BTC)], commit_id="third")
        async with make() as store:
            assert await values(store, BTC, ETH, STATE) == [None, 2, {"n": 1}]
            assert await events(store, "history.s.BTCUSDT") == ["opened", "a", "b"]
            assert await store.names() == Names(("signal.s", "state.s"), ("history.s.BTCUSDT",))
            assert [r.key.entity_id async for r in store.scan("signal.s")] == ["ETHUSDT"]
            assert store.head == 3
            await store.commit([Append("history.s.BTCUSDT", "again")], commit_id="third")
            assert store.head == 3
            assert await store.last_number("history.s.BTCUSDT") == 3

    run(main)


def test_where_rows_are_kept(make: Callable[..., AdapterStore], database: Database, tmp_path: Path) -> None:
    risk = Database()

    async def main() -> None:
        served = {"signal": adapter_on(database), "risk": adapter_on(risk)}
        async with make(served) as store:
            await store.commit([Put(BTC, 1), Put(STATE, 2), Put(Key("risk.p", "positions"), 3)])
        assert ("s", "signal", "BTCUSDT") in database.rows
        assert ("state.s", "state", "BTCUSDT") in database.rows
        assert list(risk.rows) == [("p", "risk", "positions")]
        row = json.loads(risk.rows["p", "risk", "positions"])
        assert row["value"] == 3
        assert row["holdfast"]["sequence"] == 1

    run(main)


def test_an_adapter_is_made_once_per_owner(make: Callable[..., AdapterStore], database: Database) -> None:
    made: list[tuple[str, str]] = []

    async def main() -> None:
        def ctor(entity_name: str, base_dir: str) -> Any:
            made.append((entity_name, base_dir.rpartition("/")[2]))
            return adapter_on(database)(entity_name, base_dir)

        async with make({"signal": ctor}) as store:
            for _ in range(3):
                await store.commit([Put(BTC, 1), Put(ETH, 1), Put(Key("signal.t", "X"), 1)])
        assert sorted(made) == [(OWN, "other"), ("s", "signal"), ("t", "signal")]

    run(main)


def test_a_commit_of_several_rows_is_first_one_row(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1), Put(STATE, 1), Append("history.s.BTCUSDT", 1)])
            database.log.clear()
            await store.commit([Put(BTC, 2), Put(STATE, 2), Append("history.s.BTCUSDT", 2)])
        assert database.log[:-1] == [
            (OWN, "redo"),
            ("s", "BTCUSDT"),
            ("state.s", "BTCUSDT"),
            ("history.s.BTCUSDT", "event-2"),
            ("history.s.BTCUSDT", "event-head"),
        ]

    run(main)


WRONG = OSError("connection reset")


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", ["redo", "BTCUSDT", "event-1", "event-head", "ids.", "names"])
def test_a_write_that_fails_is_repeated_before_anything_else(
    make: Callable[..., AdapterStore], database: Database, at: str, applied: bool
) -> None:
    async def main() -> None:
        async with make() as store:
            hook = failing(2, WRONG, at)
            database.before_write, database.after_write = (
                (lambda *_: None, hook) if applied else (hook, lambda *_: None)
            )
            changes: list[Change] = [Put(BTC, 1, ABSENT), Append("history.s.BTCUSDT", "opened")]
            with pytest.raises(Unavailable) as caught:
                await store.commit(changes, commit_id="one")
            assert caught.value.unknown is True
            with pytest.raises(Unavailable) as seen:  # half of it may be there: it is not shown
                await store.get(BTC)
            assert seen.value.unknown is False
            assert await values(store, BTC) == [1]
            assert await store.commit(changes, commit_id="one") == "one"
            assert await events(store, "history.s.BTCUSDT") == ["opened"]
            assert store.head == 1
        async with make() as store:
            assert await values(store, BTC) == [1]
            assert await events(store, "history.s.BTCUSDT") == ["opened"]

    run(main)


@pytest.mark.parametrize("at", ["redo", "BTCUSDT", "event-1", "event-head", "ids.", "names"])
def test_the_next_start_finishes_what_failed(
    make: Callable[..., AdapterStore], database: Database, at: str
) -> None:
    async def main() -> None:
        store = make()
        await store.open()
        database.before_write = failing(99, WRONG, at)
        with pytest.raises(Unavailable):
            await store.commit([Put(BTC, 1), Append("history.s.BTCUSDT", "opened")], commit_id="one")
        await store.close()
        database.heal()
        async with make() as store:
            decided = at != "redo"
            assert await values(store, BTC) == [1 if decided else None]
            assert await events(store, "history.s.BTCUSDT") == (["opened"] if decided else [])
            await store.commit([Put(BTC, 1), Append("history.s.BTCUSDT", "opened")], commit_id="one")
            assert await events(store, "history.s.BTCUSDT") == ["opened"]

    run(main)


def test_a_repeated_commit_that_fails_again_is_still_unknown(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    async def main() -> None:
        async with make() as store:
            database.after_write = failing(3, WRONG)
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await store.commit([Put(BTC, 1)], commit_id="one")
                assert caught.value.unknown is True
            with pytest.raises(Unavailable) as caught:
                await store.commit([Put(BTC, 2)], commit_id="two")
            assert caught.value.unknown is False
            await store.commit([Put(BTC, 2)], commit_id="two")
            assert await values(store, BTC) == [2]
            assert store.head == 2

    run(main)


def test_what_an_adapter_refuses_at_once_did_not_happen(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    async def main() -> None:
        async with make() as store:
            database.before_write = failing(1, StoreFull("no room"))
            with pytest.raises(StoreFull):
                await store.commit([Put(BTC, 1)])
            assert await values(store, BTC) == [None]
            assert store.head == 0

    run(main)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (WRONG, Unavailable),
        (RuntimeError("not found"), Unavailable),
        (KeyError("x"), Corrupt),
        (ValueError("x"), Corrupt),
    ],
)
def test_what_is_there_and_cannot_be_read_is_never_absent(
    make: Callable[..., AdapterStore], database: Database, error: Exception, raised: type[Exception]
) -> None:
    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1)])
            database.before_read = failing(4, error, "BTC")
            for act in (
                store.get(BTC),
                store.commit([Put(BTC, 2, ABSENT)]),
                anext(store.scan("signal.s")),
                persist_of(store)("s", "signal").has_value("BTCUSDT"),
            ):
                with pytest.raises(raised) as caught:
                    await act
                assert caught.value.__cause__ is error
            assert await values(store, BTC) == [1]

    run(main)


def test_what_is_missing_or_older_than_it_was_is_corrupt(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    place = ("s", "signal", "BTCUSDT")

    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1), Append("log.s", 1)])
            old = database.rows[place]
            await store.commit([Put(BTC, 2), Append("log.s", 2)])
            new = database.rows.pop(place)
            with pytest.raises(Corrupt, match="missing"):
                await store.get(BTC)
            database.rows[place] = old
            with pytest.raises(Corrupt, match="older"):
                await store.get(BTC)
            database.rows[place] = '{"written": "by hand"}'
            with pytest.raises(Corrupt, match="not Holdfast"):
                await store.get(BTC)
            database.rows[place] = new.replace('"format": 1', '"format": 2')
            with pytest.raises(FromTheFuture):
                await store.get(BTC)
            database.rows[place] = new.replace('"kind": "record", ', "")
            with pytest.raises(Corrupt, match="label"):
                await store.get(BTC)
            database.rows[place] = new
            assert await values(store, BTC) == [2]
            del database.rows["log.s", "other", "event-1"]
            with pytest.raises(Corrupt, match="missing"):
                await events(store, "log.s")

    run(main)


def test_an_old_redo_row_that_comes_back_is_noticed(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    place = (OWN, "other", "redo")

    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1)])
            old = database.rows[place]
            await store.commit([Put(BTC, 2)])
        database.rows[place] = old
        with pytest.raises(Corrupt, match="old redo row"):
            await make().open()
        del database.rows[place]
        with pytest.raises(Corrupt, match="redo row is gone"):
            await make().open()

    run(main)


def test_raw_rows_are_adopted_once(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    place = ("s", "signal", "BTCUSDT")

    async def main() -> None:
        database.rows[place] = '{"side": "long"}'
        database.rows["s", "signal", "ETHUSDT"] = "null"
        async with make() as store:
            with pytest.raises(Conflict):
                await store.commit([Put(BTC, 0, ABSENT)])
            [first] = await store.get(BTC)
            assert first is not None
            assert first.value == {"side": "long"}
            assert [record.value async for record in store.scan("signal.s")] == [{"side": "long"}]
            await store.commit([Check(BTC, first.version), Put(ETH, 1)])
            database.log.clear()
            assert await store.get(BTC) == [first]
            assert database.log == []
        async with make() as store:
            assert await store.get(BTC) == [first]
            await store.commit([Put(BTC, 2, first.version)])
            await store.commit([Delete(BTC)])
            assert await values(store, BTC) == [None]

    run(main)


def test_a_raw_row_can_be_deleted_unseen(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    async def main() -> None:
        database.rows["s", "signal", "BTCUSDT"] = "1"
        async with make() as store:
            await store.commit([Delete(BTC)])
            assert await values(store, BTC) == [None]

    run(main)


def test_an_adapter_as_on_the_page_serves_every_domain(tmp_path: Path) -> None:
    redis = FakeRedis()

    async def main() -> None:
        served = {"signal": redis_adapter(redis), "risk": redis_adapter(redis)}
        store = AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER)
        async with store:
            await store.commit(
                [
                    Put(BTC, None),
                    Put(STATE, 2),
                    Put(Key("run.s", "BTCUSDT"), 3),
                    Put(Key("risk.p", "positions"), 4),
                    Append("history.s.BTCUSDT", 5),
                    Append("system.s.BTCUSDT", 6),
                ]
            )
        assert json.loads(redis.rows["s:BTCUSDT"])["value"] is None
        assert json.loads(redis.rows["p:positions"])["value"] == 4
        async with AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as store:
            [record] = await store.get(BTC)
            assert record is not None
            assert record.value is None
            assert await values(store, STATE, Key("run.s", "BTCUSDT"), Key("risk.p", "positions")) == [
                2,
                3,
                4,
            ]
            assert [*await events(store, "history.s.BTCUSDT"), *await events(store, "system.s.BTCUSDT")] == [
                5,
                6,
            ]

    run(main)


def test_two_entities_in_one_place_are_refused_before_one_is_lost(tmp_path: Path) -> None:
    redis = FakeRedis()

    async def main() -> None:
        served = {"signal": redis_adapter(redis), "schedule": redis_adapter(redis)}
        async with AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as store:
            await store.commit([Put(BTC, 1)])
            with pytest.raises(Unsupported, match="base_dir"):
                await store.commit([Put(Key("schedule.s", "BTCUSDT"), 2)])
            assert await values(store, BTC) == [1]

    run(main)


def test_namespaces_on_one_database_are_apart(tmp_path: Path) -> None:
    redis = FakeRedis()

    async def main() -> None:
        served = {"signal": redis_adapter(redis)}
        async with (
            AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as one,
            AdapterStore(served, base_dir=str(tmp_path), namespace="blue", heartbeat=NEVER) as two,
        ):
            await one.commit([Put(BTC, 1)])
            await two.commit([Put(BTC, 2)])
            assert await values(one, BTC) == [1]
            assert await values(two, BTC) == [2]

    run(main)


def test_another_map_is_refused(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 1)])
        other, third = adapter_on(database, "Other"), adapter_on(Database(), "Third")
        for served in ({"signal": other}, {"signal": third}, {"signal": adapter_on(database), "risk": third}):
            with pytest.raises(InvalidOption, match="holdfast store copy"):
                await make(served).open()
        with pytest.raises(InvalidOption, match=r"adapters\.json says: .* now by .*Third"):
            await make({"signal": third}).open()
        with pytest.raises(InvalidOption, match="holdfast store copy"):  # from another machine
            await make({"signal": other}, base_dir=str(tmp_path / "elsewhere")).open()
        async with make() as store:
            assert await values(store, BTC) == [1]

    run(main)


def test_files_that_hold_state_are_not_forgotten_for_adapters(
    make: Callable[..., AdapterStore], tmp_path: Path
) -> None:
    async def main() -> None:
        async with open_store(f"file:{tmp_path}") as store:
            await store.commit([Put(BTC, 1)])
        with pytest.raises(InvalidOption, match="holdfast store copy"):
            await make().open()

    run(main)


def test_mixed_adapters_promise_the_weakest(make: Callable[..., AdapterStore], tmp_path: Path) -> None:
    strong, weak = (
        adapter_on(Database(), str(d), d) for d in (Durability.POWER_LOSS, Durability.PROCESS_CRASH)
    )

    async def main() -> None:
        async with make({"signal": strong, "risk": weak}) as store:
            assert store.durability == Durability.PROCESS_CRASH
            assert store.atomicity == "recovery"
            assert len(store.warnings) == 1
            await store.commit([Put(BTC, 1), Put(Key("risk.p", "positions"), 2)])
        none = make({"signal": strong, "risk": adapter_on(Database())}, base_dir=str(tmp_path / "other"))
        assert none.durability == Durability.NONE
        assert "risk adapter Custom declares no durability" in none.warnings[1]

    run(main)


def test_the_file_store_can_be_an_adapter_among_others(database: Database, tmp_path: Path) -> None:
    served: dict[str, Any] = {
        "signal": PersistBase,
        "risk": adapter_on(database, durability=Durability.POWER_LOSS),
    }

    async def main() -> None:
        async with AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as store:
            assert store.durability == Durability.POWER_LOSS
            await store.commit(
                [Put(BTC, 1), Put(Key("risk.p", "positions"), 2), Append("history.s.BTCUSDT", 3)]
            )
        async with AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as store:
            assert await values(store, BTC, Key("risk.p", "positions")) == [1, 2]

    run(main)


def test_a_store_can_be_an_adapter_among_others(database: Database, tmp_path: Path) -> None:
    memory = MemoryStore()
    served: dict[str, Any] = {"signal": persist_of(memory), "risk": adapter_on(database)}

    async def main() -> None:
        async with AdapterStore(served, base_dir=str(tmp_path), heartbeat=NEVER) as store:
            await store.commit([Put(BTC, 1), Put(Key("risk.p", "positions"), 2)])
        with pytest.raises(NotOpen):
            await memory.get()
        async with memory:
            [record] = await memory.get(BTC)
            assert record is not None
            assert record.value["value"] == 1

    run(main)


def test_own_names_are_refused(make: Callable[..., AdapterStore]) -> None:
    async def main() -> None:
        async with make() as store:
            for act in (store.get(Key(OWN, "redo")), store.commit([Put(Key(OWN, "redo"), 1)])):
                with pytest.raises(InvalidKey):
                    await act
            await store.commit([Append("s", 1)])
            with pytest.raises(Unsupported):
                await store.commit([Put(Key("s", "event-1"), 1)])

    run(main)


@pytest.mark.parametrize(
    "served", [{}, {"risk": adapter_on(Database())}, {"signal": PersistBase, "other": PersistBase}]
)
def test_maps_that_make_no_sense_are_refused(served: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        AdapterStore(served)


def test_a_second_opener_on_this_machine_is_refused(make: Callable[..., AdapterStore]) -> None:
    async def main() -> None:
        async with make() as store:
            with pytest.raises(StoreInUse):
                await make().open()
            await store.commit([Put(BTC, 1)])
        async with make():
            pass

    run(main)


class Fast(SystemClock):
    """A clock on which waiting takes no time, and says how long it would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0.01)


def test_an_owner_on_another_machine_is_watched_first(
    make: Callable[..., AdapterStore], database: Database, tmp_path: Path
) -> None:
    here, there = str(tmp_path / "here"), str(tmp_path / "there")

    async def main() -> None:
        alive = make(base_dir=here, heartbeat=0.5)
        await alive.open()
        with pytest.raises(StoreInUse, match="is alive"):
            await make(base_dir=there).open()
        await alive.commit([Put(BTC, 1)])
        await alive.close()

        clock = Fast()
        async with make(base_dir=there, clock=clock) as store:  # released: nothing to watch
            assert clock.waited[:1] in ([], [NEVER])
            assert await values(store, BTC) == [1]

    run(main)


def test_a_dead_owner_is_followed_and_one_that_lost_notices(
    make: Callable[..., AdapterStore], tmp_path: Path
) -> None:
    async def main() -> None:
        hung = make(base_dir=str(tmp_path / "here"), heartbeat=0.2)
        await hung.open()
        await hung.commit([Put(BTC, 1)])
        assert hung._tenancy._beating is not None
        hung._tenancy._beating.cancel()  # its heart stands still
        clock = Fast()
        follower = make(base_dir=str(tmp_path / "there"), clock=clock)
        await follower.open()
        assert clock.waited[0] == pytest.approx(0.5)
        await follower.commit([Put(BTC, 2)])
        with pytest.raises(StoreInUse):
            await hung._turn(hung._tenancy._beat)
        await hung.close()
        await follower.close()

    run(main)


def test_one_that_lost_its_namespace_refuses_all(database: Database, tmp_path: Path) -> None:
    async def main() -> None:
        store = AdapterStore({"signal": adapter_on(database)}, base_dir=str(tmp_path), heartbeat=0.01)
        await store.open()
        place = (OWN, "other", "owner")
        row = json.loads(database.rows[place])
        row["value"]["process"] = "another"
        database.rows[place] = json.dumps(row)
        assert store._tenancy._beating is not None
        await asyncio.wait([store._tenancy._beating])  # until its heart has noticed
        with pytest.raises(StoreInUse):
            await store.commit([Put(BTC, 1)])
        await store.close()
        assert json.loads(database.rows[place])["value"]["process"] == "another"

    run(main)


def test_a_cancelled_caller_tears_nothing(make: Callable[..., AdapterStore], database: Database) -> None:
    async def main() -> None:
        async with make() as store:
            for number in range(20):
                task = asyncio.ensure_future(
                    store.commit([Put(BTC, number), Put(STATE, number), Append("log.s", number)])
                )
                for _ in range(number):
                    await asyncio.sleep(0)
                task.cancel()
                found = await values(store, BTC, STATE)
                assert found[0] == found[1]
                logged = await events(store, "log.s")
                assert logged[-1:] in ([], [found[0]])
                await asyncio.gather(task, return_exceptions=True)
            await store.commit([Put(BTC, "end"), Put(STATE, "end")])
            assert await values(store, BTC, STATE) == ["end", "end"]

    run(main)


def test_readers_never_see_half_a_commit(make: Callable[..., AdapterStore]) -> None:
    async def main() -> None:
        async with make() as store:
            await store.commit([Put(BTC, 0), Put(STATE, 0)])

            async def write() -> None:
                for number in range(1, 30):
                    await store.commit([Put(BTC, number), Put(STATE, number)])

            async def read() -> None:
                for _ in range(60):
                    one, two = await values(store, BTC, STATE)
                    assert one == two

            await asyncio.gather(write(), read(), read())

    run(main)


class Stopped(SystemClock):
    """A clock whose wall time a test sets."""

    wall = 1_700_000_000_000

    def now(self) -> int:
        return self.wall


def test_commit_ids_are_remembered_over_pages_and_starts(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    clock = Stopped()

    async def main() -> None:
        async with make(clock=clock) as store:
            for number in range(200):
                clock.wall += 1_000
                await store.commit([Put(BTC, number)], commit_id=f"c{number}")
        clock.wall += 9 * 60_000
        async with make(clock=clock) as store:
            for number in range(200):
                await store.commit([Put(BTC, "twice")], commit_id=f"c{number}")
            assert await values(store, BTC) == [199]
            clock.wall += 60 * 60_000
            for number in range(200, 400):
                await store.commit([Put(BTC, number)], commit_id=f"c{number}")
            await store.commit([Put(BTC, "later")], commit_id="c0")
            assert await values(store, BTC) == ["later"]
        pages = {entity_id for _, _, entity_id in database.rows if entity_id.startswith("commits-")}
        assert len(pages) == 3  # old pages are written over

    run(main)


def test_it_can_be_closed_and_opened_again_also_on_another_loop(make: Callable[..., AdapterStore]) -> None:
    store = make()

    async def write() -> None:
        await store.open()
        await store.open()
        await store.commit([Put(BTC, 1)])
        await store.close()
        await store.close()
        with pytest.raises(NotOpen):
            await store.get(BTC)
        await store.open()  # and left open when the loop ends

    async def read() -> None:
        async with store:
            assert await values(store, BTC) == [1]

    run(write)
    run(read)


def test_close_works_where_the_adapter_does_not(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    async def main() -> None:
        store = make()
        await store.open()
        database.before_write = failing(99, WRONG)
        await store.close()
        database.heal()
        async with make() as store:
            await store.commit([Put(BTC, 1)])

    run(main)


def test_a_failed_start_of_an_adapter_is_retried(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    failures = [1]

    class Late(adapter_on(database)):  # type: ignore[misc]
        async def wait_for_init(self, initial: bool) -> None:
            if failures:
                failures.pop()
                raise WRONG

    async def main() -> None:
        store = make({"signal": Late})
        with pytest.raises(Unavailable, match="failed to start"):
            await store.open()
        async with store:
            await store.commit([Put(BTC, 1)])

    run(main)


class Large(int):
    """An integer as pymongo returns it (`bson.Int64`): one that is no plain int."""


@pytest.mark.parametrize("kind", [Large, type("Words", (str,), {}), type("Ratio", (float,), {})])
def test_a_drivers_own_kind_of_number_or_text_is_taken_for_what_it_is(
    make: Callable[..., AdapterStore], database: Database, kind: type
) -> None:
    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(one) for name, one in value.items()}
        return kind(value) if type(value) is kind.__base__ else value

    class Driver(adapter_on(database)):  # type: ignore[misc]
        adapter_name = "Driver"

        async def read_value(self, entity_id: str) -> Any:
            return changed(await super().read_value(entity_id))

    async def main() -> None:
        given = {"at": 1_790_000_000_000, "side": "long", "price": 1.5}
        async with make({"signal": Driver}) as store:
            await store.commit([Put(BTC, given)])
        async with make({"signal": Driver}) as again:
            [found] = await values(again, BTC)
            assert found == given
            assert {type(one) for one in found.values()} == {int, str, float}

    run(main)


def test_what_an_adapter_returns_that_is_no_document_is_corrupt(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    class Odd(adapter_on(database)):  # type: ignore[misc]
        async def read_value(self, entity_id: str) -> Any:
            found = await super().read_value(entity_id)
            return {**found, "value": object()} if entity_id == BTC.entity_id else found

    async def main() -> None:
        async with make({"signal": Odd}) as store:
            await store.commit([Put(BTC, 1)])
        async with make({"signal": Odd}) as again:
            with pytest.raises(Corrupt, match="no JSON document"):
                await again.get(BTC)

    run(main)


def test_an_adapter_that_cannot_be_made_is_a_typed_error(
    make: Callable[..., AdapterStore], database: Database
) -> None:
    class Picky(adapter_on(database)):  # type: ignore[misc]
        def __init__(self, entity_name: str, base_dir: str) -> None:
            if ".." in entity_name:
                raise RuntimeError("collection names cannot be empty")
            super().__init__(entity_name, base_dir)

    async def main() -> None:
        async with make({"signal": Picky}) as store:
            with pytest.raises(Unavailable, match="failed to start"):
                await store.commit([Put(Key("..", "x"), 1)])
            assert await values(store, BTC) == [None]

    run(main)
