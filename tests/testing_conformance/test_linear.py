"""The checker of histories, on histories known to be good and known to be bad."""

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.testing.linear import Operation, Undecided, failing, linearizable, told


def get(client: str, start: float, end: float | None, **saw: str | None) -> Operation:
    return Operation(client=client, start=start, end=end, saw=saw)


def put(client: str, start: float, end: float | None, **puts: str | None) -> Operation:
    return Operation(client=client, start=start, end=end, puts=puts)


def swap(client: str, start: float, end: float | None, expects: Any, puts: Any, **more: Any) -> Operation:
    return Operation(client=client, start=start, end=end, expects=expects, puts=puts, **more)


GOOD = {
    "nothing": [],
    "one after the other": [put("a", 0, 1, x="1"), get("b", 2, 3, x="1")],
    "at once, seen": [put("a", 0, 9, x="1"), get("b", 1, 2, x="1")],
    "at once, not yet seen": [put("a", 0, 9, x="1"), get("b", 1, 2, x=None)],
    "the second of two at once is last": [
        put("a", 0, 9, x="1"),
        put("b", 0, 9, x="2"),
        get("c", 10, 11, x="1"),
    ],
    "unknown and done": [put("a", 0, None, x="1"), get("b", 5, 6, x=None), get("b", 7, 8, x="1")],
    "unknown and not done": [put("a", 0, None, x="1"), get("b", 5, 6, x=None)],
    "unknown delete": [put("a", 0, 1, x="1"), put("a", 2, None, x=None), get("b", 5, 6, x=None)],
    "a read without an answer": [get("a", 0, None, x="9"), get("b", 1, 2, x=None)],
    "one of two wins": [
        put("a", 0, 1, x="1"),
        swap("a", 2, 9, {"x": "1"}, {"x": "2"}),
        swap("b", 2, 9, {"x": "1"}, {"x": "3"}, found=("x", "2")),
    ],
    "a commit of two keys, seen whole": [put("a", 0, 9, x="1", y="1"), get("b", 1, 2, x="1", y="1")],
    "repeated by another": [
        swap("a", 0, None, {"x": None}, {"x": "1"}, id="i"),
        swap("b", 1, 5, {"x": None}, {"x": "1"}, id="i"),
        get("c", 2, 3, x="1"),
        put("c", 4, 5, x="2"),
        swap("b", 6, 7, {"x": None}, {"x": "1"}, id="i"),
        get("c", 8, 9, x="2"),
    ],
    "a check": [put("a", 0, 1, x="1"), swap("b", 2, 3, {"x": "1"}, {"y": "2"}), get("c", 4, 5, y="2")],
}
BAD = {
    "a lost update": [put("a", 0, 1, x="1"), put("b", 2, 3, x="2"), get("c", 4, 5, x="1")],
    "an old value": [put("a", 0, 1, x="1"), get("b", 2, 3, x=None)],
    "there and back": [put("a", 0, 9, x="1"), get("b", 1, 2, x="1"), get("c", 3, 4, x=None)],
    "out of nothing": [get("a", 0, 1, x="7")],
    "two win": [
        put("a", 0, 1, x="1"),
        swap("a", 2, 9, {"x": "1"}, {"x": "2"}),
        swap("b", 2, 9, {"x": "1"}, {"x": "3"}),
    ],
    "refused for nothing": [
        put("a", 0, 1, x="1"),
        swap("b", 2, 3, {"x": "1"}, {"x": "2"}, found=("x", "1")),
    ],
    "refused and done": [
        swap("b", 0, 1, {"x": "9"}, {"x": "2"}, found=("x", None)),
        get("a", 2, 3, x="2"),
    ],
    "a torn read": [
        put("a", 0, 1, x="1", y="1"),
        put("a", 2, 9, x="2", y="2"),
        get("b", 3, 4, x="2", y="1"),
    ],
    "two readers, two orders": [
        put("a", 0, 9, x="1"),
        put("b", 0, 9, y="1"),
        get("c", 1, 2, x="1", y=None),
        get("d", 1, 2, x=None, y="1"),
    ],
    "write skew": [
        put("a", 0, 1, x="1", y="1"),
        swap("a", 2, 9, {"x": "1"}, {"y": "2"}),
        swap("b", 2, 9, {"y": "1"}, {"x": "2"}),
    ],
    "unknown, seen and gone": [
        put("a", 0, None, x="1"),
        get("b", 5, 6, x="1"),
        get("b", 7, 8, x=None),
    ],
    "twice under one id": [
        swap("a", 0, None, {}, {"x": "1"}, id="i"),
        get("c", 2, 3, x="1"),
        put("c", 4, 5, x="2"),
        swap("a", 6, 7, {}, {"x": "1"}, id="i"),
        get("c", 8, 9, x="1"),
    ],
    "the second try was done before it was asked": [
        swap("a", 4, 5, {}, {"x": "1"}, id="i"),
        swap("b", 6, 7, {}, {"x": "1"}, id="i"),
        get("c", 2, 3, x="1"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    assert linearizable(GOOD[name])
    assert failing(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    assert not linearizable(BAD[name])
    wrong = failing(BAD[name])
    assert wrong
    assert all(one in BAD[name] for one in wrong)


def test_what_was_there_before() -> None:
    assert linearizable([get("a", 0, 1, x="1")], initial={"x": "1"})
    assert failing([get("a", 0, 1, x=None)], initial={"x": "1"})


def test_the_shortest_part_is_shown() -> None:
    noise = [put("n", i, i + 0.5, x=f"n{i}", y=f"n{i}") for i in range(60)]
    stale = get("r", 50.2, 51, x="n12")
    wrong = failing([*noise, stale])
    assert wrong is not None
    assert len(wrong) == 3
    assert stale in wrong
    assert "put x = n12" in told(wrong)
    assert told(wrong).splitlines()[-1].endswith("get x: n12")


def test_too_much_is_undecided() -> None:
    many = [put("a", i, i + 0.5, x=str(i)) for i in range(501)]
    with pytest.raises(Undecided):
        linearizable(many)
    many = [put("a", i, None, x=str(i)) for i in range(9)] + [
        get("b", 99 + i, 99.5 + i, x=str(i)) for i in range(9)
    ]
    with pytest.raises(Undecided):
        linearizable(many)


def history_of(chance: random.Random, clients: int, count: int, keys: int) -> list[Operation]:
    """Return what clients were told by a real store whose steps are instants in calls that overlap."""
    state: dict[str, str | None] = {f"k{i}": None for i in range(keys)}
    free = dict.fromkeys(range(clients), 0.0)
    waiting: list[tuple[float, float, int]] = []
    for _ in range(count):
        client = min(free, key=free.__getitem__)
        start = free[client] + chance.random()
        at = start + chance.random()
        free[client] = at + chance.random()
        waiting.append((at, start, client))
    history = []
    for number, (_at, start, client) in enumerate(sorted(waiting)):
        history.append(step(chance, state, number, str(client), start))
        end = _at + chance.random() * 0.001
        if history[-1].puts and chance.random() < 4 / count:
            continue
        history[-1] = replace(history[-1], end=end)
    # A call ends before its client's next one, and at or after its instant.
    return history


def step(chance: random.Random, state: dict[str, Any], number: int, client: str, start: float) -> Operation:
    chosen = chance.sample(sorted(state), chance.randint(1, min(2, len(state))))
    if chance.random() < 0.4:
        return get(client, start, None, **{key: state[key] for key in chosen})
    puts = {key: None if chance.random() < 0.1 else f"v{number}" for key in chosen}
    expects = {}
    for key in chance.sample(sorted(state), chance.randint(0, 1)):
        expects[key] = state[key] if chance.random() < 0.7 else "older"
    wrong = next((key for key, held in expects.items() if state[key] != held), None)
    if wrong is not None:
        return swap(client, start, None, expects, puts, found=(wrong, state[wrong]))
    state.update(puts)
    return swap(client, start, None, expects, puts)


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 60), st.integers(1, 3))
def test_whatever_really_happened_is_explained(seed: int, clients: int, count: int, keys: int) -> None:
    assert linearizable(history_of(random.Random(seed), clients, count, keys))


@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(10, 60))
def test_an_answer_that_was_changed_is_not(seed: int, clients: int, count: int) -> None:
    """An overwritten value that comes back, in a read that began when the overwriting was long over."""
    chance = random.Random(seed)
    before = [put("x", -4, -3, k0="oldest"), put("x", -2, -1, k0=None)]
    history = [*before, *history_of(chance, clients, count, 1)]
    ends = max(one.end or one.start for one in history)
    later = put("x", ends + 1, ends + 2, k0="newest")
    known = [one.puts["k0"] for one in history if one.writes and one.end is not None]
    lie = get("x", ends + 3, ends + 4, k0=chance.choice([held for held in known if held]))
    assert linearizable([*history, later])
    wrong = failing([*history, later, lie])
    assert wrong is not None
    assert lie in wrong
    assert len(wrong) < len(history)


def test_it_is_quick_enough() -> None:
    history = history_of(random.Random(5), 8, 400, 3)
    began = time.process_time()  # what this process had of the machine
    assert linearizable(history)
    seconds = time.process_time() - began
    print(f"400 operations of 8 clients on 3 keys: {seconds:.3f} s")
    assert seconds < 5
