"""A batch decided at once comes to what its commits come to one by one."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Conflict
from holdfast.store import ABSENT, ANY, Append, Change, Check, Delete, Key, Put, open_store
from holdfast.store.deciding import Decision, NewEvent, keys_of, streams_of
from holdfast.store.group import Request
from holdfast.store.guard import GUARD

A, B = Key("e", "a"), Key("e", "b")


def requests(*commits: tuple[str, Sequence[Change]]) -> list[Request]:
    async def made() -> list[Request]:
        return [Request(changes, commit_id) for commit_id, changes in commits]

    return asyncio.run(made())


def test_later_ones_see_what_earlier_ones_did() -> None:
    batch = requests(
        ("1", [Put(A, 1, ABSENT), Append("s", "x")]),
        ("2", [Put(A, 2, "1"), Append("s", "y"), Append("t", "z")]),
        ("3", [Put(A, 3, "1"), Append("s", "never")]),
        ("4", [Delete(A, "2"), Check(B, "old")]),
        ("5", [Check(A, ABSENT), Put(B, 5)]),
    )
    decision = Decision({B: "old"}, {"s": 7}, [], 40)
    outcomes = [decision.take(request) for request in batch]
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [False, False, True, False, False]
    assert outcomes[2] is not None
    assert (outcomes[2].key, outcomes[2].expected, outcomes[2].found) == (A, "1", "2")
    assert decision.written == {A: None, B: (b"5", "5")}
    assert decision.events == [
        NewEvent("s", 8, b'"x"', "1"),
        NewEvent("s", 9, b'"y"', "2"),
        NewEvent("t", 1, b'"z"', "2"),
    ]
    assert decision.commits == [("1", 41), ("2", 42), ("4", 43), ("5", 44)]
    assert decision.head == 44


def test_a_remembered_id_counts_before_expectations_are_looked_at() -> None:
    batch = requests(("old", [Put(A, 1, ABSENT)]), ("new", [Append("s", 1)]), ("new", [Append("s", 1)]))
    decision = Decision({A: "old"}, {}, ["old"], 1)
    assert [decision.take(request) for request in batch] == [None, None, None]
    assert (decision.written, len(decision.events), decision.head) == ({}, 1, 2)


def test_a_refused_id_is_not_remembered() -> None:
    batch = requests(("x", [Put(A, 1, "other")]), ("x", [Put(A, 1, ABSENT)]))
    decision = Decision({}, {}, [], 0)
    assert isinstance(decision.take(batch[0]), Conflict)
    assert decision.take(batch[1]) is None
    assert decision.commits == [("x", 1)]


def test_what_a_batch_names() -> None:
    batch = requests(("1", [Put(B, 1), Append("t", 1), Append("s", 1)]), ("2", [Check(A, ANY), Delete(B)]))
    assert keys_of(batch) == [A, B, GUARD], "the guard is asked for in every commit"
    assert streams_of(batch) == ["s", "t"]


KEYS = st.sampled_from([A, B])
IDS = st.sampled_from(["0", "1", "2", "3", "4", "5"])
EXPECT = st.one_of(st.just(ANY), st.just(ABSENT), IDS)
ON_KEY = st.one_of(
    st.builds(Put, KEYS, st.integers(0, 3), EXPECT),
    st.builds(Delete, KEYS, EXPECT),
    st.builds(Check, KEYS, EXPECT),
)
CHANGES = st.tuples(
    st.lists(ON_KEY, max_size=2, unique_by=lambda change: change.key),
    st.lists(st.builds(Append, st.sampled_from(["s", "t"]), st.integers(0, 3)), max_size=2),
).map(lambda both: [*both[0], *both[1]])
COMMITS = st.lists(st.tuples(IDS, CHANGES), max_size=12)


@given(commits=COMMITS, sizes=st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_as_one_by_one(commits: list[tuple[str, list[Change]]], sizes: list[int]) -> None:
    """Cut into batches anywhere, a history is what the store in memory makes of it commit by commit."""
    records: dict[Key, tuple[bytes, str]] = {}
    events: dict[str, list[NewEvent]] = {}
    remembered: set[str] = set()
    head, told, left = 0, [], requests(*commits)
    for size in sizes:
        batch, left = left[:size], left[size:]
        decision = Decision(
            {key: records[key][1] for key in keys_of(batch) if key in records},
            {stream: len(events[stream]) for stream in streams_of(batch) if stream in events},
            remembered & {request.commit_id for request in batch},
            head,
        )
        told += [decision.take(request) is None for request in batch]
        for key, new in decision.written.items():
            records.pop(key, None)
            records |= {} if new is None else {key: new}
        for event in decision.events:
            events.setdefault(event.stream, []).append(event)
        remembered |= {commit_id for commit_id, _ in decision.commits}
        head = decision.head
    assert (told, records, events, head) == asyncio.run(one_by_one(commits))


async def one_by_one(commits: list[tuple[str, list[Change]]]) -> Any:
    told = []
    async with open_store("memory:") as store:
        for commit_id, changes in commits:
            try:
                await store.commit(changes, commit_id=commit_id)
            except Conflict:
                told.append(False)
            else:
                told.append(True)
        found = await store.get(A, B)
        records = {each.key: (str(each.value).encode(), each.version) for each in found if each is not None}
        events = {
            stream: [
                NewEvent(stream, e.number, str(e.value).encode(), e.version) async for e in store.read(stream)
            ]
            for stream in (await store.names()).streams
        }
        return told, records, events, store.head
