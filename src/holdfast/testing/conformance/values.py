"""Core: values read back exactly as they are, and what could not is refused before anything is written."""

from typing import Any, Final

from holdfast.errors import InvalidValue
from holdfast.store import Append, Key, Put
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.records import A, B, commit_all

__all__ = ("GOOD", "REFUSED", "drawn")

GOOD: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 1.5, 5e-324, 2.2250738585072014e-308, 1e308, 0.1, 1 / 3, 1e16, 1e22,
    2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 10**18 + 1, "", " ", "é\u2028\x7f\"\\\n\r\t", "\x00", "9" * 40,
    "\U0001f600\ufeff", "e\u0301", "1", "null", "x" * 5_000, [], {}, [[], {}, None], [1, 1.0, True, "1"],
    {"": {"a.b": [1, 1.0, True]}}, {"é": "\U0001f600", "a\x00": 1}, {"$set": {"$a": 1}, "_id": 1, "a.b.c": {}},
    {"b": 1, "a": 2}, {"__type__": "tuple"}, {"1": "a", "01": "b"}, [[[[[[[[[[0]]]]]]]]]],
)  # fmt: skip
"""What must read back, type by type and bit by bit."""

REFUSED: Final[tuple[Any, ...]] = (
    float("nan"), float("inf"), float("-inf"), (1,), [1, (2,)], {1: 2}, {None: 1}, {True: 1}, 2**63, -(2**63) - 1,
    "\ud800", {"\udc00": 1}, {"a": [b"x"]}, bytearray(b"x"), {1, 2}, frozenset(), object(), 1j, range(3),
    {"deep": [float("nan")]},
)  # fmt: skip
"""What JSON cannot hold, or would give back as something else."""


@check(Level.CORE, promise="a value reads back exactly: type, sign of zero, last bit, order of names")
async def hard_values(case: Case) -> None:
    """Put and append each hard value, and some drawn at random."""
    store = await case.store()
    tried = [*GOOD, *(drawn(case, 4) for _ in range(case.much(10)))]
    await commit_all(case, store, [Put(Key("v", str(i)), stored) for i, stored in enumerate(tried)])
    await commit_all(case, store, [Append("history", stored) for stored in tried])
    records = {record.key.entity_id: record.value for record in await everything(store.scan("v"))}
    events = [event.value for event in await everything(store.read("history"))]
    for number, stored in enumerate(tried):
        [record] = await store.get(Key("v", str(number)))
        found = (record and record.value, records.get(str(number)), events[number])
        if [repr(one) for one in found] != [repr(stored)] * 3:
            case.history.clear()
            case.broken(
                f"{stored!r} was read as {found[0]!r} (get), {found[1]!r} (scan), {found[2]!r} (read)"
            )
    case.tell(values=len(tried))


@check(
    Level.CORE,
    promise="a value that would not read back is refused by InvalidValue before anything is written",
)
async def refused_values(case: Case) -> None:
    """Put and append each of them beside a good value."""
    store = await case.store()
    head = store.head
    for bad in REFUSED:
        case.history.clear()
        with case.refused(InvalidValue, f"a record of {bad!r}"):
            await store.commit([Put(A, 1), Put(B, bad)])
        with case.refused(InvalidValue, f"an event of {bad!r}"):
            await store.commit([Put(A, 1), Append("history", bad)])
        case.same(await store.get(A, B), [None, None], "after a refused commit")
        case.same((await store.last_number("history"), store.head), (0, head), "events and head after it")
    case.tell(values=len(REFUSED))


def drawn(case: Case, depth: int) -> Any:
    """Return a value drawn at random, nested `depth` levels at most."""
    kind = case.random.randrange(9 if depth else 6)
    if kind == 0:
        return case.random.choice([None, True, False])
    if kind == 1:
        return case.random.randint(-(2**63), 2**63 - 1) >> case.random.randrange(64)
    if kind == 2:
        return case.random.uniform(-1, 1) * 10.0 ** case.random.randint(-300, 300)
    if kind < 6:
        return _text(case)
    if kind == 6:
        return [drawn(case, depth - 1) for _ in range(case.random.randrange(4))]
    return {_text(case): drawn(case, depth - 1) for _ in range(case.random.randrange(4))}


def _text(case: Case) -> str:
    letters = "ab.$/:\\\"' \x00\x1f\x7f\u00e9\u2028\uffff\U0001f600"
    return "".join(case.random.choice(letters) for _ in range(case.random.randrange(8)))
