"""The entity view: what a strategy's own code sees of a store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Corrupt, EntityNotFound, InvalidKey, InvalidValue, NotOpen, Unsupported
from holdfast.persist import PersistBase, persist_of
from holdfast.persist.base import natural
from holdfast.store import Key, Put, Store, open_store
from holdfast.store.backends.memory import MemoryStore

Use = Callable[[Callable[[str], PersistBase]], Awaitable[None]]


@pytest.fixture(params=["bare", "view"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., PersistBase]:
    """Return what makes views: of the file store, as PersistBase is, or of a store in memory."""
    if request.param == "bare":
        return lambda name="notes": PersistBase(name, str(tmp_path / "data"))
    return persist_of(MemoryStore())


async def collected(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]


def test_a_value_is_written_read_and_removed(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            assert not await notes.has_value("a")
            with pytest.raises(EntityNotFound) as caught:
                await notes.read_value("a")
            assert isinstance(caught.value, LookupError)
            assert caught.value.key == Key("notes", "a")
            await notes.write_value("a", {"x": [1, None]})
            assert await notes.has_value("a")
            assert await notes.read_value("a") == {"x": [1, None]}
            await notes.remove_value("a")
            assert not await notes.has_value("a")
            with pytest.raises(EntityNotFound):
                await notes.remove_value("a")

    asyncio.run(use())


def test_none_is_a_value(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            await notes.write_value("a", None)
            assert await notes.has_value("a")
            assert await notes.read_value("a") is None

    asyncio.run(use())


def test_1_and_the_text_1_are_one_entity(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            await notes.write_value(1, "one")
            assert await notes.read_value("1") == "one"
            await notes.write_value("1", "two")
            assert await notes.read_value(1) == "two"
            assert await collected(notes.keys()) == ["1"]

    asyncio.run(use())


@pytest.mark.parametrize("entity_id", [True, 1.0, None, b"1", ""])
def test_other_ids_are_refused(make: Callable[..., PersistBase], entity_id: Any) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            with pytest.raises(InvalidKey):
                await notes.write_value(entity_id, 1)
            assert await collected(notes.keys()) == []

    asyncio.run(use())


def test_what_does_not_read_back_is_refused(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            await notes.write_value("a", 1)
            with pytest.raises(InvalidValue):
                await notes.write_value("a", float("nan"))
            assert await notes.read_value("a") == 1

    asyncio.run(use())


def test_iteration_is_in_natural_order(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            for number in (10, 9, 2, 1, 100):
                await notes.write_value(f"key{number}", number)
            await notes.write_value(3, 3)
            assert await collected(notes.keys()) == ["3", "key1", "key2", "key9", "key10", "key100"]
            assert await collected(notes.values()) == [3, 1, 2, 9, 10, 100]
            assert await collected(notes.filter(lambda value: value > 9)) == [10, 100]
            assert await collected(notes.take(2)) == [3, 1]
            assert await collected(notes.take(0)) == []
            assert await collected(notes.take(99)) == [3, 1, 2, 9, 10, 100]
            await notes.remove_all()
            assert await collected(notes.keys()) == []

    asyncio.run(use())


def test_natural_order_of_awkward_ids() -> None:
    ids = ["a", "a01", "a1", "1", "01", "", "a1b", "a1b2", "a1b10", "1a", "b", "²", "a²"]
    assert sorted(ids, key=natural) == [
        "", "01", "1", "1a", "a", "a01", "a1", "a1b", "a1b2", "a1b10", "a²", "b", "²",
    ]  # fmt: skip


def test_entity_names_are_apart(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes, make("other") as other:
            await notes.write_value("a", 1)
            assert not await other.has_value("a")
            await other.write_value("a", 2)
            await notes.remove_all()
            assert await collected(other.values()) == [2]

    asyncio.run(use())


def test_each_caller_has_a_value_of_its_own(make: Callable[..., PersistBase]) -> None:
    async def use() -> None:
        async with make("notes") as notes:
            written = {"x": [1]}
            await notes.write_value("a", written)
            written["x"].append(2)
            (await notes.read_value("a"))["x"].append(3)
            assert await notes.read_value("a") == {"x": [1]}

    asyncio.run(use())


def test_making_one_does_no_io(tmp_path: Path) -> None:
    PersistBase("notes", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_instances_on_one_folder_share_it_and_the_last_closes_it(tmp_path: Path) -> None:
    data = str(tmp_path / "data")

    async def use() -> None:
        one, two = PersistBase("notes", data), PersistBase("other", f"{tmp_path}/./data/")
        await asyncio.gather(one.wait_for_init(True), two.wait_for_init(True))
        await one.write_value("a", 1)
        await one.close()
        await two.write_value("a", 2)
        await two.close()
        async with open_store(f"file:{data}") as store:  # the lock is free
            assert [record and record.value for record in await store.get(Key("notes", "a"))] == [1]
        assert await two.read_value("a") == 2  # using it again opens it again
        await two.close()

    asyncio.run(use())


def test_what_nobody_closed_is_closed_with_the_loop(tmp_path: Path) -> None:
    notes = PersistBase("notes", str(tmp_path / "data"))

    async def write() -> None:
        await notes.wait_for_init(True)
        await notes.write_value("a", 1)

    async def read() -> Any:
        return await notes.read_value("a")

    asyncio.run(write())
    assert asyncio.run(read()) == 1  # StoreInUse, were the first loop's store still open

    async def other() -> None:
        async with open_store(f"file:{tmp_path}/data"):
            pass

    asyncio.run(other())


class Slow(MemoryStore):
    """A store whose scans are counted, and fail as often as told."""

    scans = 0
    failures = 0

    async def scan(self, entity_name: str, **options: Any) -> AsyncIterator[Any]:
        self.scans += 1
        await asyncio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise Corrupt("unreadable")
        async for record in super().scan(entity_name, **options):
            yield record


def test_init_is_shared_done_once_and_retried_after_a_failure() -> None:
    async def use() -> None:
        store = Slow()
        store.failures = 1
        notes = persist_of(store)("notes")
        results = await asyncio.gather(*(notes.wait_for_init(True) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [Corrupt] * 5
        assert store.scans == 1
        await asyncio.gather(*(notes.wait_for_init(False) for _ in range(5)))
        await notes.wait_for_init(False)
        assert store.scans == 2

    asyncio.run(use())


def test_a_cancelled_init_does_not_cancel_the_others() -> None:
    async def use() -> None:
        store = Slow()
        notes = persist_of(store)("notes")
        first = asyncio.ensure_future(notes.wait_for_init(True))
        second = asyncio.ensure_future(notes.wait_for_init(True))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
        assert store.scans == 1

    asyncio.run(use())


def test_a_view_knows_its_domain() -> None:
    async def use() -> None:
        async with MemoryStore() as store:
            await store.commit(
                [Put(Key("signal.my-strategy", "BTCUSDT"), 1), Put(Key("my-strategy", "x"), 2)]
            )
            views = persist_of(store)
            assert await views("my-strategy", "./logs/data/signal").read_value("BTCUSDT") == 1
            assert await views("my-strategy", "./logs/data").read_value("x") == 2
            await views("my-strategy").close()
            assert await store.get(Key("my-strategy", "x"))  # still open: views close what they opened

    asyncio.run(use())


def test_the_last_view_closes_what_the_first_opened() -> None:
    async def use() -> None:
        store: Store = MemoryStore()
        views = persist_of(store)
        one, two = views("one"), views("two")
        await one.write_value("a", 1)
        await two.write_value("a", 1)
        await one.close()
        assert await store.get() == []
        await two.close()
        with pytest.raises(NotOpen):
            await store.get()

    asyncio.run(use())


class Custom(PersistBase):
    """Four methods, and no call of the base's."""

    def __init__(self, entity_name: str, base_dir: str) -> None:
        self.rows: dict[str, Any] = {}

    async def wait_for_init(self, initial: bool = False) -> None:
        await super().wait_for_init(initial)

    async def read_value(self, entity_id: str | int) -> Any:
        return self.rows[str(entity_id)]

    async def has_value(self, entity_id: str | int) -> bool:
        return str(entity_id) in self.rows

    async def write_value(self, entity_id: str | int, entity: Any) -> None:
        self.rows[str(entity_id)] = entity


def test_a_custom_adapter_never_touches_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def use() -> None:
        custom = Custom("x", "./logs/data")
        await custom.wait_for_init(True)
        await custom.write_value("a", 1)
        for act in (
            custom.remove_value("a"),
            custom.remove_all(),
            collected(custom.keys()),
            collected(custom.values()),
        ):
            with pytest.raises(Unsupported, match="Custom has no"):
                await act
        await custom.close()

    asyncio.run(use())
    assert not list(tmp_path.iterdir())
