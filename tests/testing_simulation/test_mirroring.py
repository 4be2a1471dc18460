"""What is taken for encrypted, and what is not."""

from base64 import b64encode

import pytest

from holdfast.testing.simulation.mirroring import _is_sealed


@pytest.mark.parametrize("data", [b"\x00\x01", b'"\xbb\xbb"', b"[1", b"{"], ids=str)
def test_what_holds_no_document_is_encrypted(data: bytes) -> None:
    assert _is_sealed({"holdfast.encrypted": 1, "data": b64encode(data).decode()})


@pytest.mark.parametrize("value", [{"data": "e30="}, {"holdfast.encrypted": 1, "data": "e30="}, [], None])
def test_what_can_be_read_is_not(value: object) -> None:
    assert not _is_sealed(value)
