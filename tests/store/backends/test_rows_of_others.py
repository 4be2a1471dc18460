"""Rows and documents that somebody else has written: read as what they say, or Corrupt, never by a driver's error."""

from collections.abc import Mapping
from typing import Any

import pytest
from bson.int64 import Int64

from holdfast.errors import Corrupt
from holdfast.store import Key
from holdfast.store.backends.mongo import documents
from holdfast.store.backends.mongo.preparing import checked
from holdfast.store.backends.postgres.reading import event_of, record_of

A = Key("signal.one", "BTCUSDT")
ROW: Mapping[str, Any] = {"body": "1", "version": "v", "number": 1}
DOCUMENT: Mapping[str, Any] = {
    "entity": "e",
    "id": "i",
    "stream": "s",
    "number": 1,
    "version": "v",
    "text": "1",
}


@pytest.mark.parametrize(
    "other", [{"body": None}, {"body": {}}, {"body": b"1"}, {"version": None}, {"version": 7}]
)
def test_a_row_of_postgres_with_another_type_is_corrupt(other: Mapping[str, Any]) -> None:
    with pytest.raises(Corrupt):
        record_of(A, {**ROW, **other})
    with pytest.raises(Corrupt):
        event_of("s", 1, {**ROW, **other})


@pytest.mark.parametrize("field", ["entity", "id"])
@pytest.mark.parametrize("other", [None, 5, ["x"]])
def test_a_record_of_mongo_whose_name_is_no_text_is_corrupt(field: str, other: Any) -> None:
    with pytest.raises(Corrupt, match=field):
        documents.record_of({**DOCUMENT, field: other})


@pytest.mark.parametrize(
    "number", [None, "1", True, 0.5, float("nan"), float("inf"), [1], -1, 2**63 - 1, 1e300]
)
def test_a_number_of_mongo_that_is_none_is_corrupt(number: Any) -> None:
    with pytest.raises(Corrupt):
        documents.number_of({**DOCUMENT, "number": number})
    with pytest.raises(Corrupt):
        documents.event_of({**DOCUMENT, "number": number})


@pytest.mark.parametrize("number", [5, 5.0, Int64(5)])
def test_a_number_that_a_tool_has_rewritten_is_what_it_was(number: Any) -> None:
    found = documents.number_of({**DOCUMENT, "number": number})
    assert type(found) is int
    assert found == 5 == documents.event_of({**DOCUMENT, "number": number}).number


def test_names_and_heads_that_are_none_are_corrupt() -> None:
    others: tuple[Any, ...] = (None, 5, {})
    for name in others:
        with pytest.raises(Corrupt):
            documents.name_of({"_id": name}, "_id")
    with pytest.raises(Corrupt):
        checked({"format": 1, "head": True}, "mongodb://host/db", "default")
    with pytest.raises(Corrupt):  # it has no next one
        checked({"format": 1, "head": 2**63 - 1}, "mongodb://host/db", "default")
