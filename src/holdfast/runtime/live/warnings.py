"""What a run says at its start, by name: the promises that its store or its broker cannot keep."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.store import Durability, Store

if TYPE_CHECKING:
    from holdfast.broker.protocol import Broker

__all__ = ("warnings",)


def warnings(store: Store, broker: "Broker") -> Iterator[str]:
    """Yield one sentence for each promise that is not kept here, and why."""
    yield from getattr(store, "warnings", ())
    if store.durability is Durability.NONE:
        yield f"nothing lost (P2) is not promised: {store.url} does not say that it survives anything"
    elif store.durability is Durability.PROCESS_CRASH:
        yield f"nothing lost (P2) is promised through a crash, not through a power cut: {store.url} cannot flush"
    if store.shared and broker.request_expiry is None:
        yield (
            f"requests to {broker.name} do not expire: where another process takes over from one that hangs, the "
            "exchange cannot refuse an order that the hung one sends when it wakes up"
        )
    if broker.client_ids == "none":
        yield f"{broker.name} keeps no client ids: an order whose answer is lost halts its symbol"
    elif broker.request_expiry is None:
        yield f"requests to {broker.name} do not expire: an order that is not found there halts its symbol"
