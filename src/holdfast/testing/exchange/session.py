"""One market with its account, its faults and its memory of every request: what a trader is connected to."""

from collections import Counter
from collections.abc import Mapping

from holdfast.market.candles import Series
from holdfast.market.protocol import Market
from holdfast.system import Clock
from holdfast.testing.exchange.engine import Engine
from holdfast.testing.exchange.faults import Faults
from holdfast.testing.exchange.options import Options, Seen, Witness

__all__ = ("Session",)

KEPT = 2_000
"""How much of an answer is kept."""


class Session:
    """An engine, and what a witness beside it writes down."""

    def __init__(
        self, series: Mapping[str, Series], options: Options, *, clock: Clock, markets: Mapping[str, Market]
    ) -> None:
        self.engine = Engine(series, options, clock=clock, markets=markets)
        self.faults = Faults()
        self.seen: list[Seen] = []

    def see(self, kind: str, method: str, target: str, client_id: str, body: bytes) -> Seen:
        """Write a request down as it arrives."""
        seen = Seen(
            number=len(self.seen) + 1,
            kind=kind,
            method=method,
            target=target,
            wall=self.engine.wall(),
            market=self.engine.now(),
            body=body.decode(errors="replace"),
            client_id=client_id,
        )
        self.seen.append(seen)
        return seen

    def witness(self) -> Witness:
        """Return what has been counted so far."""
        engine = self.engine
        now = engine.now()
        orders = engine.orders()
        return Witness(
            now=now,
            orders=len(orders),
            filled=sum(bool(entry.state.fills) for entry in orders),
            open=len(engine.account.open),
            doubled=engine.account.repeated(),
            positions=engine.positions(),
            requests=dict(Counter(seen.kind for seen in self.seen)),
            refused=dict(engine.refused),
            faults=dict(self.faults.done),
        )
