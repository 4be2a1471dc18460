"""Connections of a run: makes the market and broker of an exchange in the run's event loop, and closes what it made."""

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from holdfast.runtime.spec import ExchangeSpec
from holdfast.store import Store
from holdfast.trading.rules import Rules

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker
    from holdfast.market.protocol import Exchange

__all__ = ("connected", "entered")


@asynccontextmanager
async def connected(
    spec: ExchangeSpec, store: Store, rules: Rules
) -> "AsyncIterator[tuple[Exchange, Broker]]":
    """Yield the market and broker of an exchange, open; what was made here is closed at the end.

    Without a broker of its own, an exchange gets one that fills on paper and keeps its orders in `store`.
    """
    async with AsyncExitStack() as stack:
        market = await _entered(stack, spec.market)
        broker = (
            await _entered(stack, spec.broker) if spec.broker is not None else _paper(store, market, rules)
        )
        if spec.broker is None:
            broker = await _entered(stack, broker)
        yield market, broker


@asynccontextmanager
async def entered(thing: Any) -> AsyncIterator[Any]:
    """Yield what a user registered, made if it is a function and opened; what was made here is closed."""
    async with AsyncExitStack() as stack:
        yield await _entered(stack, thing)


def _paper(store: Store, market: Any, rules: Rules) -> Any:
    from holdfast.broker.paper import PaperBroker

    return PaperBroker(store, market, fill_model=rules.fill_model)


async def _entered(stack: AsyncExitStack, thing: Any) -> Any:
    """Return what a user registered, ready: made (and owned) if it is a function, opened if it opens."""
    owned = inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismethod(thing)
    made: Any = thing() if owned else thing
    if inspect.isawaitable(made):
        made = await made
    if owned and hasattr(made, "close"):
        stack.push_async_callback(_closed, made)  # also where opening fails: a client has its session then
    if hasattr(made, "open"):
        await made.open()
    return made


async def _closed(made: Any) -> None:
    closing = made.close()
    if inspect.isawaitable(closing):
        await closing
