"""Encryption: what is stored says nothing, what was changed or moved is Corrupt, a wrong key says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import (
    Corrupt,
    FromTheFuture,
    InvalidKey,
    InvalidOption,
    NotOpen,
    Unavailable,
    Unsupported,
)
from holdfast.store import (
    ABSENT,
    Append,
    Delete,
    Event,
    Key,
    Names,
    Put,
    Record,
    Store,
    encrypted,
    new_key,
    open_store,
)
from holdfast.store.backends import network
from holdfast.store.backends.memory import MemoryStore
from holdfast.store.wrappers.encrypted import MARK, Encrypted
from holdfast.store.wrappers.keyring import Keyring, Sealed
from holdfast.store.wrappers.sealing import Sealer
from tests.store.contract import A, B, StoreContract, everything, value

KEY = new_key("k1")
SECRET = {"side": "long", "note": "the crown jewels"}


class TestEncryptedMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return encrypted(open_store("memory:"), KEY)


class TestEncryptedFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        (tmp_path / "keys").write_text(KEY + "\n")
        return open_store(f"file:{tmp_path}/data?encrypt_key_file={tmp_path}/keys")


class Bench:
    """An encrypted store (`store`), and what is really stored (`raw`), for whoever has the database."""

    def __init__(self, keys: str = KEY, raw: MemoryStore | None = None, kind: Any = Encrypted) -> None:
        self.raw = raw or MemoryStore(namespace="blue")
        self.store: Encrypted = kind(self.raw, lambda: Keyring(keys))

    async def __aenter__(self) -> "Bench":
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def stored(self, key: Key) -> Record:
        [record] = await self.raw.get(key)
        assert record is not None
        return record

    async def put(self, key: Key, document: Any, version: str) -> None:
        """Put a document there as whoever has the database could: with any version."""
        self.raw._recent._since.clear()
        await self.raw.commit([Put(key, document)], commit_id=version)

    def rewrite(self, stream: str, change: Callable[[list[Any]], list[Any]]) -> None:
        """Rearrange the events of a stream."""
        self.raw._streams[stream] = change(self.raw._streams[stream])


async def test_what_is_stored_says_nothing() -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, SECRET), Append("history", SECRET)], commit_id="v")
        stored = await bench.stored(A)
        [event] = await everything(bench.raw.read("history"))
        for document in (stored.value, event.value):
            assert set(document) - {"at"} == {"holdfast.encrypted", "key", "nonce", "data"}
            assert document["key"].startswith("k1.")
            assert "crown" not in json.dumps(document)
        assert await bench.store.get(A) == [Record(A, SECRET, "v")]
        assert await everything(bench.store.read("history")) == [Event("history", 1, SECRET, "v")]


async def test_no_nonce_comes_twice() -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(Key("n", str(i)), "same") for i in range(200)])
        found = [record.value async for record in bench.raw.scan("n")]
    assert len({one["nonce"] for one in found}) == len({one["data"] for one in found}) == 200


# ------------------------------------------------------------ tampering, each with a control


class Unbound(Sealer):
    """Control: encrypts without saying where a value belongs."""

    def _place_of(self, key: Key, version: str) -> bytes:
        return b""

    def _place_in(self, stream: str, version: str, at: tuple[int, int]) -> bytes:
        return b""


class Trusting(Encrypted):
    """Control: an encrypted store that binds nothing to its place."""

    async def open(self) -> None:
        await self.inner.open()
        self._sealer, self._mark_expects = Unbound(self._keys(), self.namespace), None


async def changed(bench: Bench) -> None:
    stored = await bench.stored(A)
    data = stored.value["data"]
    await bench.put(A, {**stored.value, "data": ("B" if data[0] == "A" else "A") + data[1:]}, stored.version)


async def swapped(bench: Bench) -> None:
    await bench.store.commit([Put(A, 1), Put(B, 2)], commit_id="both")
    a, b = await bench.stored(A), await bench.stored(B)
    bench.raw._recent._since.clear()
    await bench.raw.commit([Put(A, b.value), Put(B, a.value)], commit_id="both")


async def put_back(bench: Bench) -> None:
    old = await bench.stored(A)
    await bench.store.commit([Put(A, "new")], commit_id="newer")
    await bench.put(A, old.value, "newer")


async def of_another_namespace(bench: Bench) -> None:
    async with Bench(raw=MemoryStore(namespace="red"), kind=type(bench.store)) as other:
        await other.store.commit([Put(A, "theirs")], commit_id="same")
        stored = await other.stored(A)
    await bench.put(A, stored.value, "same")


async def plain(bench: Bench) -> None:
    await bench.put(A, {"side": "short"}, "v")


async def of_an_event(bench: Bench) -> None:
    await bench.store.commit([Append(f"{A.entity_name}/{A.entity_id}", "event")], commit_id="v2")
    [event] = await everything(bench.raw.read(f"{A.entity_name}/{A.entity_id}"))
    await bench.put(A, event.value, "v2")


TAMPERING = [changed, swapped, put_back, of_another_namespace, plain, of_an_event]


@pytest.mark.parametrize("tamper", TAMPERING)
async def test_what_was_tampered_with_is_corrupt_and_never_absent(tamper: Any) -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, SECRET)], commit_id="v")
        await tamper(bench)
        for read in (bench.store.get(A), everything(bench.store.scan(A.entity_name))):
            with pytest.raises(Corrupt, match="signal") as corrupt:
                await read
            assert corrupt.value.key == A
        with pytest.raises(Corrupt):
            await bench.store.get(B, A)


@pytest.mark.parametrize("tamper", [swapped, put_back, of_another_namespace, of_an_event])
async def test_what_is_bound_to_no_place_can_be_moved(tamper: Any) -> None:
    """Control: the same tampering goes unnoticed where a value is bound to nothing."""
    async with Bench(kind=Trusting) as bench:
        await bench.store.commit([Put(A, SECRET)], commit_id="v")
        await tamper(bench)
        assert await bench.store.get(A)


async def history(bench: Bench) -> None:
    await bench.store.commit([Append("h", f"a{i}") for i in range(3)], commit_id="one")
    await bench.store.commit([Append("h", "b0"), Append("other", "x"), Append("h", "b1")], commit_id="two")
    await bench.store.commit([Append("h", "c0")], commit_id="three")


@pytest.mark.parametrize(
    ("tamper", "seen_after"),
    [
        (lambda e: [e[1], e[0], *e[2:]], 0),
        (lambda e: [e[0], e[2], e[1], *e[3:]], 1),
        (lambda e: e[1:], 0),
        (lambda e: [*e[:1], *e[2:]], 1),
        (lambda e: [*e[:2], *e[3:]], 2),
        (lambda e: [e[0], e[0], *e[1:]], 1),
        (lambda e: [*e[:3], e[4], e[3], e[5]], 3),
        (lambda e: [(e[1][0], "two"), *e[1:]], 0),
        (lambda e: [(b'{"side":"short"}', "one"), *e[1:]], 0),
    ],
)
async def test_events_of_a_commit_cannot_be_moved_or_left_out(tamper: Any, seen_after: int) -> None:
    async with Bench() as bench:
        await history(bench)
        bench.rewrite("h", tamper)
        with pytest.raises(Corrupt, match="stream 'h'") as corrupt:
            await everything(bench.store.read("h"))
        assert corrupt.value.number == seen_after + 1
        assert len(await everything(bench.store.read("h", limit=seen_after))) == seen_after
        with pytest.raises(Corrupt):  # also by whoever asks for that one alone
            await everything(bench.store.read("h", after=seen_after, limit=1))


async def test_what_is_not_noticed_in_a_stream_is_as_the_page_says() -> None:
    """Whole commits that are left out leave no trace in the stream itself."""
    async with Bench() as bench:
        await history(bench)
        bench.rewrite("h", lambda e: [*e[:3], *e[5:]])
        assert [e.value for e in await everything(bench.store.read("h"))] == ["a0", "a1", "a2", "c0"]


async def test_a_record_put_back_with_its_version_is_not_noticed_as_the_page_says() -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, "old")], commit_id="one")
        old = await bench.stored(A)
        await bench.store.commit([Put(A, "new")], commit_id="two")
        await bench.put(A, old.value, "one")
        assert await value(bench.store, A) == "old"


@pytest.mark.parametrize("after", range(7))
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 9])
async def test_any_part_of_a_stream_can_be_read(after: int, limit: int | None) -> None:
    async with Bench() as bench:
        await history(bench)
        whole = [e.value for e in await everything(bench.store.read("h"))]
        assert whole == ["a0", "a1", "a2", "b0", "b1", "c0"]
        part = await everything(bench.store.read("h", after=after, limit=limit))
        assert [e.value for e in part] == whole[after:][:limit]
        assert [e.number for e in part] == list(range(1, 7))[after:][:limit]


async def test_an_event_that_repair_gave_up_is_null_and_those_behind_it_are_read() -> None:
    async with Bench() as bench:
        await history(bench)
        bench.rewrite("h", lambda e: [e[0], (b"null", "one"), *e[2:]])
        assert [e.value for e in await everything(bench.store.read("h"))][:3] == ["a0", None, "a2"]
        [event] = await everything(bench.store.read("h", after=2, limit=1))
        assert event.value == "a2"


# ------------------------------------------------------------ keys


async def test_rotation() -> None:
    new = new_key("k2")
    async with Bench() as bench:
        await bench.store.commit([Put(A, "old"), Append("s", "old")])
    async with Bench(f"{new},{KEY}", bench.raw) as both:
        assert await value(both.store, A) == "old"
        await both.store.commit([Put(B, "new"), Append("s", "new")])
        assert (await both.stored(B)).value["key"].startswith("k2.")
        assert (await both.stored(MARK)).value["key"].startswith("k2.")
        assert [e.value for e in await everything(both.store.read("s"))] == ["old", "new"]
    async with Bench(new, bench.raw) as after:  # the old key has left too early
        assert await value(after.store, B) == "new"
        with pytest.raises(Unavailable, match="'k1'") as missing:
            await after.store.get(A)
        assert (missing.value.retryable, missing.value.unknown, missing.value.key_name) == (
            False,
            False,
            "k1",
        )
        await after.store.commit([Put(A, "again")])
        assert await value(after.store, A) == "again"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        pytest.param(new_key("other"), "'k1'", id="another name"),
        pytest.param(new_key("k1"), "another key of that name", id="another key"),
    ],
)
async def test_a_wrong_key_is_told_at_open_and_changes_nothing(keys: str, words: str) -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, 1)])
    head = bench.raw.head
    wrong = Bench(keys, bench.raw)
    with pytest.raises(Unavailable, match=words) as refused:
        await wrong.store.open()
    assert refused.value.retryable is False
    with pytest.raises(NotOpen):
        await wrong.store.get(A)
    with pytest.raises(NotOpen):
        await bench.raw.get(A)
    assert bench.raw.head == head


async def test_what_is_not_encrypted_is_refused_at_open() -> None:
    for change in (Put(A, 1), Append("s", 1)):
        async with MemoryStore() as raw:
            await raw.commit([change])
        with pytest.raises(Unsupported, match="holdfast store copy"):
            await encrypted(raw, KEY).open()


async def test_two_processes_begin_at_once() -> None:
    raw = MemoryStore()
    one, two = encrypted(raw, KEY), encrypted(raw, KEY)
    async with one, two:
        await one.commit([Put(A, 1)])
        await two.commit([Put(B, 2)])
        assert (await value(two, A), await value(one, B)) == (1, 2)
    three, four = MemoryStore(), new_key("four")
    ours, theirs = encrypted(three, KEY), encrypted(three, four)
    async with ours, theirs:
        await ours.commit([Put(A, 1)])
        with pytest.raises(Unavailable):
            await theirs.commit([Put(B, 2)])
        assert await three.get(B) == [None]


async def test_a_namespace_that_another_process_has_begun_meanwhile_is_recognised() -> None:
    """Its mark and its first commit come between the two looks of a store that is opened."""

    class Begun(MemoryStore):
        begun = False

        async def names(self) -> Names:
            if not self.begun:
                self.begun = True
                async with encrypted(self, KEY) as other:
                    await other.commit([Append("history.one", 1)])
                await self.open()
            return await super().names()

    async with encrypted(Begun(), KEY) as store:
        assert [event.value for event in await everything(store.read("history.one"))] == [1]


async def test_reading_a_new_store_writes_nothing() -> None:
    async with Bench() as bench:
        assert await bench.store.get(A) == [None]
        assert bench.raw.head == 0
        with pytest.raises(Exception, match="expected"):
            await bench.store.commit([Put(A, 1, "v")])


async def test_the_mark_is_nobodys() -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, 1)])
        assert (await bench.store.names()).entities == (A.entity_name,)
        for use in (
            bench.store.get(MARK),
            bench.store.commit([Delete(MARK)]),
            bench.store.commit([Put(MARK, 1, ABSENT)]),
            everything(bench.store.scan(MARK.entity_name)),
        ):
            with pytest.raises(InvalidKey):
                await use


async def test_a_later_format_is_left_alone() -> None:
    async with Bench() as bench:
        await bench.store.commit([Put(A, 1)])
        stored = await bench.stored(A)
        await bench.put(A, {**stored.value, "holdfast.encrypted": 2}, stored.version)
        with pytest.raises(FromTheFuture):
            await bench.store.get(A)


def test_no_key_is_ever_shown() -> None:
    name, _, secret = KEY.partition(":")
    ring = Keyring(KEY)
    assert secret not in repr(ring) + str(ring.names) + repr(ring.seal(b"x", b""))
    assert name in repr(ring)
    text = f"k1:{secret[:-4]}"
    for bad in (
        text,
        secret,
        f":{secret}",
        f"{KEY},{KEY}",
        f"{KEY};{KEY}",
        f"k1:{secret}*",
        f"a b:{secret}",
        "",
    ):
        with pytest.raises(InvalidOption) as refused:
            Keyring(bad)
        assert secret[:8] not in str(refused.value) + repr(refused.value.facts)


def test_keys_are_text_in_any_of_its_forms() -> None:
    one, two = new_key("a"), new_key("b")
    for text in (f"{one},{two}", f"{one}\n{two}\n", f" {one} , {two} ", f"{one}=,{two}="):
        assert [name.partition(".")[0] for name in Keyring(text).names] == ["a", "b"]
    assert new_key("a") != one
    with pytest.raises(InvalidOption):
        new_key("no spaces")


@pytest.mark.parametrize("bad", [Sealed("", "", ""), Sealed("k1.x", "AAAA", "AAAA")])
def test_a_key_that_nobody_has(bad: Sealed) -> None:
    with pytest.raises(Unavailable):
        Keyring(KEY).unseal(bad, b"")


async def test_keys_by_url_are_read_at_open(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store("memory:?encrypt_key_env=HOLDFAST_TEST_KEYS")
    with pytest.raises(InvalidOption, match="HOLDFAST_TEST_KEYS"):
        await store.open()
    monkeypatch.setenv("HOLDFAST_TEST_KEYS", KEY)
    async with store:
        await store.commit([Put(A, 1)])
    monkeypatch.setenv("HOLDFAST_TEST_KEYS", f"{new_key('k2')},{KEY}")
    async with store:
        assert await value(store, A) == 1


@pytest.mark.parametrize(
    "query", ["encrypt=1", "encrypt_key_env=A&encrypt_key_file=b", "encrypt_key_env=A&encrypt_mode=x"]
)
def test_refused(query: str) -> None:
    with pytest.raises(InvalidOption):
        open_store(f"memory:?{query}")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(network, "import_module", missing)
    with pytest.raises(Unsupported, match=r"holdfast\[encrypt\]"):
        encrypted(open_store("memory:"), KEY)


def test_a_key_written_the_other_way_round_is_not_shown() -> None:
    secret = "A" * 43
    with pytest.raises(InvalidOption, match="number 1 is not") as caught:
        Keyring(f"{secret}:2026-11")
    assert secret not in repr(caught.value.facts)


@pytest.mark.parametrize("at", [[1, 2**63], [0, 1], [-1, 10**30]])
def test_an_event_whose_place_cannot_be_is_corrupt(at: list[int]) -> None:
    sealer = Sealer(Keyring("k:" + "A" * 43), "default")
    document = {**sealer.append("s", b"1", "v", (1, 1)), "at": at}
    with pytest.raises(Corrupt):
        sealer.event(Event("s", 1, document, "v"))


async def test_a_mark_that_was_lost_before_the_first_commit_is_made_again() -> None:
    """A server that fails over has lost what another process had just written: the mark, and all else."""
    raw = MemoryStore(namespace="blue")
    async with Bench(raw=raw) as first:
        await first.store.commit([Put(A, SECRET)])
        async with Bench(raw=raw) as second:
            await raw.commit([Delete(MARK), Delete(A)])
            await second.store.commit([Put(B, SECRET)])
            assert [record is None for record in await raw.get(MARK, B)] == [False, False]
    async with Bench(raw=raw) as third:
        assert await value(third.store, B) == SECRET


async def test_a_mark_that_was_renewed_meanwhile_stops_no_commit() -> None:
    raw, both = MemoryStore(namespace="blue"), f"{new_key('k2')},{KEY}"
    async with Bench(raw=raw) as first:
        await first.store.commit([Put(A, SECRET)])
    async with Bench(both, raw=raw) as second, Bench(both, raw=raw) as third:
        await second.store.commit([Put(A, 2)])  # writes the mark with the new key
        await third.store.commit([Put(B, 3)])
        assert [await value(third.store, A), await value(third.store, B)] == [2, 3]
