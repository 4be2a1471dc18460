"""What is stored reads back as it was: rows and events, through JSON, exactly."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.trading import events
from holdfast.trading.events import LIFECYCLE, Happening, from_document, to_document
from holdfast.trading.order import average_price, total
from holdfast.trading.signal import SignalRow
from tests.trading.builders import Life, fill, request, tick
from tests.trading.test_lifecycle import DOWN, UP, in_part

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**53 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(codec="utf-8")),
    bool: st.booleans(),
    NoneType: st.none(),
}
KINDS = tuple(
    kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Happening)
)


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a stored type: whatever JSON can say of it."""
    if kind in PLAIN:
        return PLAIN[kind]
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(arguments)
    if get_origin(kind) is tuple:
        return st.lists(of(arguments[0]), max_size=2).map(tuple)
    if arguments:
        return st.one_of(*map(of, arguments))
    return st.builds(
        kind, **{name: of(hint) for name, hint in get_type_hints(kind).items() if name[0] != "_"}
    )


def through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@given(row=of(SignalRow))
def test_rows_read_back_as_they_were(row: SignalRow) -> None:
    assert msgspec.convert(through_json(row), SignalRow) == row
    assert msgspec.json.encode(msgspec.convert(through_json(row), SignalRow)) == msgspec.json.encode(row)


@pytest.mark.parametrize("life", [Life().open(), Life().schedule(), in_part()])
def test_rows_of_each_status_read_back(life: Life) -> None:
    for happens in (tick(UP), request(), tick(DOWN)):
        assert msgspec.convert(through_json(life.row), SignalRow | None) == life.row
        life.give(happens)


@given(data=st.data())
def test_events_read_back_as_they_were(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from([kind for kind in KINDS if kind is not Happening]).flatmap(of))
    document = through_json(to_document(event))
    assert document["type"] == type(event).__name__
    assert "number" not in document
    assert from_document(document, event.number) == event


def test_every_kind_of_event_is_read() -> None:
    readable = {*get_args(events.Lifecycle), *get_args(events.System)}
    assert readable == {kind for kind in KINDS if kind is not Happening}
    assert set(LIFECYCLE) == set(get_args(events.Lifecycle))


@pytest.mark.parametrize("document", [None, 7, [], {}, {"type": "Opened"}, {"type": "Nonsense", "at": 1}])
def test_what_is_no_event_is_refused(document: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        from_document(document, 1)


@given(parts=st.lists(st.integers(1, 10**9), min_size=1, max_size=20), digits=st.integers(0, 8))
def test_totals_are_exact_in_decimal(parts: list[int], digits: int) -> None:
    quantities = [float(f"{part}e-{digits}") for part in parts]
    assert total(*quantities) == float(f"{sum(parts)}e-{digits}")
    assert total(*quantities, *(-q for q in quantities)) == 0


def test_a_mean_of_equal_prices_is_that_price() -> None:
    assert average_price((fill(0.1, 0.3), fill(0.1, 0.7))) == 0.1
    assert average_price((fill(1.0, 1.0), fill(4.0, 2.0))) == 3.0
