"""One entity of each kind that is stored by a schema, as its program would have made it."""

from typing import Any, Final

from holdfast.broker.account import Entry
from holdfast.broker.paper import ENTRY
from holdfast.persist.schemas import RISK, SIGNAL
from holdfast.runtime.live.seat import RUN
from holdfast.store.codec import Schema
from holdfast.store.tools.mark import MARK, Mark
from holdfast.store.workers import OWNER, WORKER, Owner, Worker
from holdfast.system import Process
from holdfast.trading.order import Fill, Order, OrderState
from holdfast.trading.risk import Position, Positions
from holdfast.trading.signal import Intent, SignalRow

__all__ = ("ORDER", "STATE", "entities")

AT: Final = 1_700_000_000_000
ORDER: Final = Order(
    client_id="hf-1", symbol="BTCUSDT", side="buy", type="limit", quantity=0.5, price=40_000.0
)
FILL: Final = Fill(id="1", price=40_000.0, quantity=0.5, at=AT)
STATE: Final = OrderState(
    client_id="hf-1", symbol="BTCUSDT", side="buy", type="limit", quantity=0.5, status="filled", fills=(FILL,)
)


def entities() -> tuple[tuple[Schema[Any], Any], ...]:
    """Return each schema with an entity of it."""
    row = SignalRow(
        id="s", namespace="default", strategy="sma", symbol="BTCUSDT", exchange="e", side="long", status="open",
        take_profit=41_000.0, stop_loss=39_000.0, quantity=0.5, decided_at=AT, entry=STATE,
        intent=Intent(kind="submit", client_id="hf-1", at=AT, order=ORDER), exits=(STATE,),
    )  # fmt: skip
    position = Position(
        strategy="sma", symbol="BTCUSDT", side="long", cost=100.0, quantity=0.5, since=AT, signal_id="s"
    )
    process = Process(host="h", boot="b", space="s", pid=1, started=2)
    return (
        (SIGNAL, row),
        (RISK, Positions(entries={"sma/BTCUSDT": position})),
        (ENTRY, Entry(number=1, order=ORDER, state=STATE, at=AT)),
        (WORKER, Worker(process=process, since=AT, lease=10.0)),
        (OWNER, Owner(worker="w")),
        (MARK, Mark(state="copy", url="file:x", namespace="default", copy="c")),
        (RUN, RUN.type(cursor=AT)),
    )
