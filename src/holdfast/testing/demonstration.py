"""What `holdfast demo` shows: a bot on a simulated exchange, killed again and again, beside one that is left alone.

with Demonstration(series, folder=folder, seed=7) as show:
    show.twin()
    for kill in show.killed(20): print(kill.words)
    result = show.compared()
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from msgspec import Struct

from holdfast.broker.simulated import SimulatedBroker
from holdfast.market.series import Series
from holdfast.market.simulated import SimulatedExchange
from holdfast.runtime.context import Context
from holdfast.runtime.desk import Desk
from holdfast.testing.bots import PATIENCE, ended
from holdfast.testing.compare import Picture, different, doubled, lost, picture
from holdfast.testing.crash import Kill, Life, NotDone, Nursery
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.process import SimulatedExchangeProcess
from holdfast.testing.scenarios import ANSWERS
from holdfast.trading.rules import Rules
from holdfast.trading.signal import Signal

__all__ = ("SYMBOL", "Demonstration", "Killed", "Outcome", "in_flight", "trade")

SYMBOL: Final = "BTCUSDT"
EXPIRY: Final = 0.25
OPENING: Final = frozenset({"orders.sending", "orders.looked-up", "orders.settled", "orders.renewed"})
WORDS: Final = {
    "orders.sending": "the order is written down, and not sent yet",
    "orders.sent": "the order is executed, and its answer not written down yet",
    "orders.looked-up": "it had just asked what became of the order before",
    "orders.settled": "it had just learnt what became of the order before",
    "orders.renewed": "it was about to send the order again, which had never arrived",
    "orders.outcome-committed": "the answer has just been written down",
    "live.decided": "it has decided, and not written it down yet",
    "live.committed": "it has just written down what it decided",
    "live.candles-received": "a candle has just arrived",
}

MIXTURE: Final = ("orders.sent", "orders.sending", "", "orders.sent", "time", "orders.sent", "orders.sending")
"""Where the bot is killed, in turn; "" is at any point."""


class Killed(Struct, frozen=True, kw_only=True):
    """A life that ended by SIGKILL: the point it had reached, and whether an order was under way."""

    number: int
    point: str
    in_flight: bool
    minute: int
    orders: int

    @property
    def words(self) -> str:
        """What it was doing, for people."""
        room = self.point.partition(".")[0]
        other = "it was writing to its disk" if room not in ("start", "orders", "live") else "it was starting"
        return WORDS.get(self.point, other if self.point else "it had hardly begun")


class Outcome(Struct, frozen=True, kw_only=True):
    """How a bot that was killed compares: with what the exchange has seen, and (paced) with the one left alone."""

    kills: int
    seen: Picture
    doubled: list[str]
    lost: list[str]
    different: list[str]


def in_flight(life: Life) -> bool:
    """Return whether a life ended between an intent and its outcome."""
    for point in reversed(life.reached):
        if point in OPENING or point == "orders.sent":
            return True
        if point == "orders.outcome-committed" or point.startswith("live."):
            return False
    return False


async def trade(*, url: str, store: str) -> dict[str, Any]:
    """Trade the demonstration's strategy to the end of the market: what each of its lives does."""
    desk = Desk(store=store)
    desk.strategy("demo", interval="3m", rules=Rules(scheduled_minutes=6), history=60, timeout=ANSWERS)(
        _decide
    )
    desk.add_exchange(
        "simulated",
        lambda: SimulatedExchange(url, timeout=ANSWERS),
        broker=lambda: SimulatedBroker(url, timeout=ANSWERS),
    )
    over, events, halted = await ended(desk, desk.live.run(SYMBOL, poll=0.005, patience=PATIENCE), [])
    return {"over": over, "events": events, "halted": halted}


def _decide(ctx: Context) -> Signal:
    """Follow the last minutes; every third entry rests a little below the market, or above. Of no use for trading."""
    closes = ctx.candles("1m", 6).close
    count = ctx.state["asked"] = ctx.state.get("asked", 0) + 1
    side = 1 if closes[-1] >= closes[0] else -1
    entry = ctx.price * (1 - side * 0.0004) if count % 3 == 0 else None
    base = entry or ctx.price
    take, stop = (base * (1 + side * 0.006), base * (1 - side * 0.006))
    return Signal(
        side="long" if side > 0 else "short",
        entry_price=entry,
        take_profit=take,
        stop_loss=stop,
        time_limit=4,
    )


def _check(life: Life) -> None:
    if life.ended in ("raised", "hung"):
        raise NotDone(f"the bot {life.ended}: {life.error} {life.message}", life=life)


class Demonstration:
    """An exchange process, bots, and their stores in `folder`; use it as `with`. Its methods block."""

    def __init__(self, series: Series, *, folder: Path, seed: int, patches: Sequence[str] = ()) -> None:
        self.exchange = SimulatedExchangeProcess({SYMBOL: series}, Options(request_expiry=EXPIRY))
        self.nursery = Nursery()
        self._folder = folder
        self._random = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._patches = tuple(patches)
        self._twin: Picture | None = None
        self._killed = 0
        self._sends = 0

    def twin(self) -> Picture:
        """Trade once without any interruption, and return what that leaves."""
        place = self._place("left-alone")
        life = self.nursery.live(trade, place, limit=300)
        _check(life)
        self._sends = life.reached.count("orders.sending")
        self._twin = picture(place["url"], place["store"])
        return self._twin

    def killed(self, kills: int) -> Iterator[Killed]:
        """Trade again, and yield each life that was killed; the last life, to the market's end, is not."""
        place = self._place("killed")
        for number in range(1, kills + 1):
            life = self.nursery.live(trade, place, kills=[self._kill(number, kills)], patches=self._patches)
            if life.ended != "killed":
                return _check(life)
            yield self._seen("killed", number, life)
        _check(self.nursery.live(trade, place, patches=self._patches, limit=300))

    def compared(self) -> Outcome:
        """Return how the killed bot compares with the one that was left alone."""
        assert self._twin is not None
        outcome = self._outcome("killed", self._killed)
        self._killed = 0
        return Outcome(
            kills=outcome.kills,
            seen=outcome.seen,
            doubled=outcome.doubled,
            lost=outcome.lost,
            different=different(self._twin, outcome.seen),
        )

    def running(self, kills: int, *, speed: float) -> Outcome:
        """Trade on a market that does not wait, killed at random times; nothing to be compared with, then."""
        place = self._place("running", pace="running", speed=speed)
        done = 0
        for _ in range(kills):
            after = Kill(after=self._random.uniform(0.3, 0.9))
            life = self.nursery.live(trade, place, kills=[after], patches=self._patches)
            if life.ended != "killed":
                break
            done += 1
        _check(self.nursery.live(trade, place, patches=self._patches, limit=300))
        return self._outcome("running", done)

    def _place(self, name: str, **options: Any) -> dict[str, str]:
        return {"url": self.exchange.reset(session=name, **options), "store": f"file:{self._folder / name}"}

    def _kill(self, number: int, kills: int) -> Kill:
        """Return a kill: most are between an intent and its outcome, the others at any point or time."""
        often = max(self._sends // (kills + 1), 1)
        where = MIXTURE[(number - 1) % len(MIXTURE)]
        if where == "time":
            return Kill(after=self._random.uniform(0.05, 0.25))
        return Kill(point=where, nth=self._random.randint(1, often if where else 20 * often))

    def _seen(self, session: str, number: int, life: Life) -> Killed:
        self._killed += 1
        witness = self.exchange.witness(session)
        first = int(self.exchange.witness("").now)
        return Killed(
            number=number,
            point=life.died_at,
            in_flight=in_flight(life),
            minute=(witness.now - first) // 60_000,
            orders=witness.orders,
        )

    def _outcome(self, session: str, kills: int) -> Outcome:
        url = f"{self.exchange.url}/s/{session}"
        seen = picture(url, f"file:{self._folder / session}")
        return Outcome(kills=kills, seen=seen, doubled=doubled(seen), lost=lost(seen), different=[])

    def __enter__(self) -> Self:
        self.exchange.start()
        self.nursery.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.nursery.stop()
        self.exchange.stop()
