"""Coroutine tests: run on a loop of their own, with every store they are given open."""

import asyncio
import inspect
from contextlib import AsyncExitStack

import pytest

from holdfast.store import Store


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_…`; a fixture returns a store that is not open, and the test gets it open."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    given = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}

    async def run() -> None:
        async with AsyncExitStack() as stack:
            for value in given.values():
                if isinstance(value, Store):
                    await stack.enter_async_context(value)
            await pyfuncitem.obj(**given)

    asyncio.run(run())
    return True
