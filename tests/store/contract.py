"""What every backend must do: subclass `StoreContract` and give it a `store` fixture that yields an open store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from holdfast.errors import Conflict, InvalidKey, InvalidValue, NotOpen
from holdfast.store import (
    ABSENT,
    ANY,
    Append,
    Change,
    Check,
    Delete,
    Durability,
    Event,
    Key,
    Names,
    Put,
    Record,
    Store,
)

T = TypeVar("T")
A = Key("signal.one", "BTCUSDT")
B = Key("signal.one", "ETH/USDT:USDT")
C = Key("risk", "Alltäglich ..")


async def everything(found: AsyncIterator[T]) -> list[T]:
    return [item async for item in found]


async def value(store: Store, key: Key) -> Any:
    (record,) = await store.get(key)
    return None if record is None else record.value


class StoreContract:
    """The contract of `holdfast.store.Store`, apart from what survives what."""

    async def test_absent(self, store: Store) -> None:
        assert await store.get(A, B) == [None, None]
        assert await store.get() == []
        assert await everything(store.scan("signal.one")) == []
        assert await everything(store.read("history")) == []
        assert await store.last_number("history") == 0
        assert await store.names() == Names((), ())

    async def test_put_and_get(self, store: Store) -> None:
        version = await store.commit([Put(A, {"side": "long"}), Put(B, None)])
        assert await store.get(B, A, C) == [
            Record(B, None, version),
            Record(A, {"side": "long"}, version),
            None,
        ]
        again = await store.commit([Put(A, 2)])
        assert again != version
        assert await store.get(A) == [Record(A, 2, again)]
        assert store.durability in Durability

    @pytest.mark.parametrize(
        "stored",
        [None, True, 0, -0.0, 1.5, 5e-324, 1e308, 2**63 - 1, -(2**63), 2**53 + 1, "", "é\u2028\x7f\"\\\n", "9" * 40,
         [], {}, [[], {}, None], {"": {"a.b": [1, 1.0, True]}}, {"é": "\U0001f600", "a\x00": 1}],
    )  # fmt: skip
    async def test_values_read_back_exactly(self, store: Store, stored: Any) -> None:
        await store.commit([Put(A, stored), Append("history", stored)])
        assert repr(await value(store, A)) == repr(stored)
        assert [repr(e.value) for e in await everything(store.read("history"))] == [repr(stored)]

    @pytest.mark.parametrize(
        "bad", [float("nan"), (1,), {1: 2}, 2**63, "\ud800", {"a": [b"x"]}, {1, 2}, object()]
    )
    async def test_what_would_not_read_back_is_refused(self, store: Store, bad: Any) -> None:
        head = store.head
        with pytest.raises(InvalidValue):
            await store.commit([Put(A, 1), Put(B, bad)])
        with pytest.raises(InvalidValue):
            await store.commit([Append("history", bad)])
        assert await store.get(A) == [None]
        assert store.head == head

    @pytest.mark.parametrize("bad", ["", "\ud800", "a\0b", "x" * 513, "é" * 257, 1, None])
    async def test_bad_keys_are_refused(self, store: Store, bad: Any) -> None:
        for key in (Key(bad, "x"), Key("x", bad)):
            with pytest.raises(InvalidKey):
                await store.commit([Put(key, 1)])
            with pytest.raises(InvalidKey):
                await store.get(key)
        with pytest.raises(InvalidKey):
            await store.commit([Append(bad, 1)])
        with pytest.raises(InvalidKey):
            await everything(store.scan(bad))

    @pytest.mark.parametrize(
        "odd",
        [
            "..",
            ".",
            "/etc/passwd",
            "../../x",
            "CON",
            "nul.txt",
            "a.",
            "a ",
            "x" * 512,
            "é" * 256,
            "%2E",
            "~",
            "a\nb",
        ],
    )
    async def test_odd_keys_are_only_names(self, store: Store, odd: str) -> None:
        await store.commit([Put(Key(odd, odd), odd), Append(odd, odd)])
        assert await value(store, Key(odd, odd)) == odd
        assert odd in (await store.names()).entities
        assert [e.value for e in await everything(store.read(odd))] == [odd]

    async def test_no_two_names_meet(self, store: Store) -> None:
        pairs = [
            "btc",
            "BTC",
            "Btc",
            "e\u0301",
            "\u00e9",
            "a/b",
            "a%2Fb",
            "a:b",
            "x" * 512,
            "x" * 511 + "y",
            "1",
        ]
        await store.commit([Put(Key(name, other), [name, other]) for name in pairs for other in pairs])
        for name in pairs:
            for other in pairs:
                assert await value(store, Key(name, other)) == [name, other]
            assert len(await everything(store.scan(name))) == len(pairs)

    async def test_nobody_shares_a_value(self, store: Store) -> None:
        given: dict[str, Any] = {"list": [1]}
        await store.commit([Put(A, given)])
        given["list"].append(2)
        (await value(store, A))["list"].append(3)
        assert await value(store, A) == {"list": [1]}

    async def test_expect(self, store: Store) -> None:
        first = await store.commit([Put(A, 1, ABSENT)])
        for change in (
            Put(A, 2, ABSENT),
            Put(A, 2, "other"),
            Delete(A, "other"),
            Check(A, ABSENT),
            Put(B, 2, first),
        ):
            with pytest.raises(Conflict) as conflict:
                await store.commit([change, Put(C, "never"), Append("history", "never")])
            assert conflict.value.key == change.key
            assert conflict.value.expected == change.expect
            assert conflict.value.found == (first if change.key == A else ABSENT)
        assert await store.get(C) == [None]
        assert await store.last_number("history") == 0
        second = await store.commit([Put(A, 2, first), Check(B, ABSENT)])
        await store.commit([Delete(A, second), Delete(B, ABSENT), Put(C, 1, ANY)])
        assert await store.get(A) == [None]

    async def test_delete(self, store: Store) -> None:
        await store.commit([Put(A, 1), Put(B, 2)])
        await store.commit([Delete(A), Delete(C)])
        assert await store.get(A, B, C) == [None, *(await store.get(B)), None]
        await store.commit([Delete(B)])
        assert "signal.one" not in (await store.names()).entities
        await store.commit([Put(A, 3, ABSENT)])
        assert await value(store, A) == 3

    async def test_one_key_once_in_a_commit(self, store: Store) -> None:
        for second in (Put(A, 2), Delete(A), Check(A, ANY)):
            with pytest.raises(InvalidKey):
                await store.commit([Put(A, 1), second])
        assert await store.get(A) == [None]

    async def test_scan(self, store: Store) -> None:
        ids = ["Z", "a", "é", "a/b", "\U0001f600", "key10", "key2", "~", "\uffee"]
        await store.commit(
            [Put(Key("n", i), i) for i in ids] + [Put(Key("m", "x"), 1), Put(Key("n.x", "x"), 1)]
        )
        ordered = sorted(ids, key=str.encode)
        found = await everything(store.scan("n"))
        assert [record.key.entity_id for record in found] == ordered
        assert [record.value for record in found] == ordered
        assert [r.value for r in await everything(store.scan("n", after="key10"))] == ordered[
            ordered.index("key10") + 1 :
        ]
        assert [r.value for r in await everything(store.scan("n", after="key1", limit=2))] == [
            "key10",
            "key2",
        ]
        assert await everything(store.scan("n", limit=0)) == []

    async def test_streams(self, store: Store) -> None:
        first = await store.commit([Append("one", 1), Append("two", "x"), Append("one", 2)])
        second = await store.commit([Append("one", 3)])
        expected = [Event("one", 1, 1, first), Event("one", 2, 2, first), Event("one", 3, 3, second)]
        assert await everything(store.read("one")) == expected
        assert await everything(store.read("one", after=1)) == expected[1:]
        assert await everything(store.read("one", after=1, limit=1)) == expected[1:2]
        assert await everything(store.read("one", after=9)) == []
        assert await everything(store.read("one", after=2**64)) == []
        assert await everything(store.read("one", after=-(2**63) - 1)) == expected
        assert await store.last_number("one") == 3
        assert (await store.names()).streams == ("one", "two")

    async def test_commit_id_counts_once(self, store: Store) -> None:
        changes: list[Change] = [Put(A, 1, ABSENT), Append("history", 1)]
        assert await store.commit(changes, commit_id="the-id") == "the-id"
        head = store.head
        assert await store.commit(changes, commit_id="the-id") == "the-id"
        assert (
            await asyncio.gather(*(store.commit(changes, commit_id="the-id") for _ in range(3)))
            == ["the-id"] * 3
        )
        assert await store.last_number("history") == 1
        assert store.head == head
        assert await store.get(A) == [Record(A, 1, "the-id")]

    async def test_commit_id_at_once(self, store: Store) -> None:
        changes: list[Change] = [Put(A, 1, ABSENT), Append("history", 1)]
        assert await asyncio.gather(*(store.commit(changes, commit_id="id") for _ in range(9))) == ["id"] * 9
        assert await store.last_number("history") == 1

    async def test_head_grows(self, store: Store) -> None:
        before = store.head
        await store.commit([Put(A, 1)])
        assert store.head > before

    async def test_empty_commit(self, store: Store) -> None:
        assert await store.commit([])

    async def test_one_wins(self, store: Store) -> None:
        """Of many that expect the same version, exactly one commits."""
        version = await store.commit([Put(A, 0)])
        for turn in range(5):
            tries = [store.commit([Put(A, [turn, i], version), Append("won", i)]) for i in range(20)]
            results = await asyncio.gather(*tries, return_exceptions=True)
            (version,) = [result for result in results if isinstance(result, str)]
            assert sum(isinstance(result, Conflict) for result in results) == 19
        assert await store.last_number("won") == 5

    async def test_increments_add_up(self, store: Store) -> None:
        """A read-modify-write that retries on Conflict loses no update."""

        async def increment() -> None:
            while True:
                (record,) = await store.get(A)
                expect = ABSENT if record is None else record.version
                number = 0 if record is None else record.value
                try:
                    await store.commit([Put(A, number + 1, expect)])
                except Conflict:
                    await asyncio.sleep(0)
                else:
                    return

        await asyncio.gather(*(increment() for _ in range(25)))
        assert await value(store, A) == 25

    async def test_cancelled_commit_is_whole_or_not(self, store: Store) -> None:
        for number in range(20):
            task = asyncio.ensure_future(
                store.commit([Put(A, number), Put(B, number), Append("history", number)])
            )
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        await store.commit([Put(C, "usable")])
        a, b = await store.get(A, B)
        assert (a and (a.value, a.version)) == (b and (b.value, b.version))
        events = [event.value for event in await everything(store.read("history"))]
        assert a is None or events[-1] == a.value
        assert events == sorted(set(events))

    async def test_snapshot(self, store: Store) -> None:
        """A get of two keys that only change together never sees them apart."""
        await store.commit([Put(A, 0), Put(B, 0)])

        async def write() -> None:
            for number in range(1, 30):
                await store.commit([Put(A, number), Put(B, number)])

        writing = asyncio.ensure_future(write())
        while not writing.done():
            a, b = await store.get(A, B)
            assert a is not None
            assert b is not None
            assert a.value == b.value
            await asyncio.sleep(0)
        await writing

    async def test_not_open(self, store: Store) -> None:
        await store.open()
        await store.close()
        await store.close()
        for use in (store.get(A), store.commit([Put(A, 1)]), store.names(), everything(store.scan("a"))):
            with pytest.raises(NotOpen):
                await use
        await store.open()
        await store.commit([Put(A, 1)])
