"""Coroutine tests run here as they do in tests/store."""

from tests.store.conftest import pytest_pyfunc_call

__all__ = ("pytest_pyfunc_call",)
