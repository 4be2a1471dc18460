"""What breaks P2: a symbol that is halted by name is a person's, and excuses no other."""

from holdfast.persist.schemas import SIGNAL
from holdfast.testing.compare import Picture, lost
from holdfast.testing.exchange.options import Witness
from holdfast.trading.order import OrderState
from holdfast.trading.signal import Intent, SignalRow

UNSETTLED = SignalRow(
    id="1", namespace="default", strategy="s", symbol="BTCUSDT", exchange="sim", side="long", status="open",
    take_profit=110.0, stop_loss=90.0, quantity=0.1, decided_at=60_000,
    entry=OrderState(client_id="hf-1", symbol="BTCUSDT", side="buy", type="market", quantity=0.1, status="open"),
    intent=Intent(kind="submit", client_id="hf-1", at=60_000),
)  # fmt: skip


def seen(*, positions: dict[str, float] | None = None, halted: tuple[str, ...] = ()) -> Picture:
    witness = Witness(
        now=0, orders=0, filled=0, open=0, doubled={}, positions=positions or {}, requests={}, refused={}, faults={}
    )  # fmt: skip
    documents = {"signal.s/BTCUSDT": SIGNAL.to_document(UNSETTLED)}
    return Picture(orders=(), witness=witness, history={}, documents=documents, halted=halted)


def test_an_intent_that_is_not_settled_is_excused_by_a_halt_of_its_own_symbol_alone() -> None:
    assert lost(seen()) == ["BTCUSDT: an intent is not settled"]
    assert lost(seen(halted=("ETHUSDT: as BTCUSDT was, it is with a person",))) != []
    assert lost(seen(halted=("BTCUSDT: a person must look",))) == []


def test_a_position_that_nobody_watches_is_excused_by_a_halt_of_its_own_symbol_alone() -> None:
    halted = ("BTCUSDT: a person must look, as for ETHUSDT",)
    assert lost(seen(positions={"ETHUSDT": 1.0}, halted=halted)) != []
    assert lost(seen(positions={"BTCUSDT": 1.0}, halted=halted)) == []
