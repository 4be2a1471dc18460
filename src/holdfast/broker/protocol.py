"""What Holdfast asks of a broker: send, look up by client id, cancel; and what it must say of itself.

A broker never decides to send again: an answer that did not come is `Unknown`, and recovery settles it.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from holdfast.trading.order import Order, OrderState

__all__ = ("Broker",)


class Broker(Protocol):
    """An account that takes orders under our client ids.

    `client_ids` says among which orders the exchange refuses a repeated id: "none" (it keeps no client ids),
    "open_only" (among open orders, as large exchanges do) or "window" (among all of the last `lookup_window`
    seconds). `lookup_window` is how long a final order can still be looked up. `request_expiry` is how long (s)
    after its building a request may still be executed; None where requests do not expire: then an order
    that is not found is never sent again.
    """

    name: str
    account: str
    client_ids: Literal["none", "open_only", "window"]
    lookup_window: float
    request_expiry: float | None

    async def time(self) -> int:
        """Return the exchange's wall clock (ms), by which it judges the expiry of requests."""

    async def submit(self, order: Order, *, expires_at: int = 0) -> OrderState:
        """Send an order and return it as the exchange knows it now.

        The exchange refuses the request after `expires_at` (its wall clock, ms; 0: no expiry). Raises Rejected
        (final: nothing was executed) or Unknown (it may have been; also where an order of that id is there).
        """

    async def lookup(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Return the order of that client id, open or final, None where the exchange knows none.

        None is not final: a request may still be on its way. Raises Unknown where there was no answer.
        """

    async def cancel(self, client_id: str, *, symbol: str) -> OrderState | None:
        """Ask for an open order's cancellation and return its state; None where there is none of that id.

        Cancelling what is final changes nothing. Raises Unknown.
        """

    async def open_orders(self) -> Sequence[OrderState]:
        """Return all open orders of the account; raises Unknown."""

    async def fills(self, since: int) -> Sequence[OrderState]:
        """Return the orders that were filled (wholly or in part) at or after `since` (market time, ms); raises Unknown.

        The evidence that recovery compares the store with.
        """

    async def positions(self) -> dict[str, float]:
        """Return what is held by symbol, in base units, negative for short; raises Unknown."""
