"""Live runs as a user starts them: iterated for their events, or in the background."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from holdfast.errors import InvalidOption
from holdfast.runtime.live.handle import Handle
from holdfast.runtime.live.patience import Patience
from holdfast.runtime.live.run import LiveRun, Options
from holdfast.runtime.live.start import OrphanPolicy
from holdfast.runtime.wanted import Candles, pairs, replay, series_of
from holdfast.store.lease import LEASE_SECONDS
from holdfast.trading.events import Happening

if TYPE_CHECKING:
    from holdfast.runtime.desk import Desk

__all__ = ("Live",)


class Live:
    """Starts live runs of a desk."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk

    def run(
        self,
        symbols: str | Sequence[str],
        *,
        strategy_name: str | Sequence[str] | None = None,
        exchange_name: str | None = None,
        candles: Candles | None = None,
        policy: OrphanPolicy = "refuse",
        resume: bool = False,
        release: bool = False,
        poll: float = 1.0,
        patience: Patience | None = None,
        wait: bool = False,
        lease: float = LEASE_SECONDS,
    ) -> "LiveRun":
        """Return a live run of strategies on symbols; it starts when it is iterated, and yields its events.

        With `candles` (a CSV file, a series, or one of these by symbol) it trades on paper over them, at its own pace.
        `policy` says what to do with open signals that nobody in this run would watch, `resume` lifts stored
        stops and halts, `release` takes the signals of halted symbols off the books (a person has looked after
        them). `poll` is the longest pause (s) before an exchange is asked for candles again. Where several processes
        can open the store, one at a time trades a strategy on a symbol; other stores only one has open at a time.
        `wait` until that one lets go or is dead instead of raising LeaseHeld or StoreInUse; it counts as dead when it
        has not shown for `lease` seconds that it is alive.
        """
        if policy not in get_args(OrphanPolicy):
            known = ", ".join(get_args(OrphanPolicy))
            raise InvalidOption(f"there is no policy {policy!r}; known: {known}", policy=policy)
        if not 0 < poll < math.inf:
            raise InvalidOption(f"poll is a number of seconds above 0, not {poll!r}", poll=poll)
        if not 0 < lease < math.inf:
            raise InvalidOption(f"lease is a number of seconds above 0, not {lease!r}", lease=lease)
        wanted = pairs(self._desk, symbols, strategy_name)
        if candles is None:
            exchange = self._desk.exchange_named(exchange_name)
        elif exchange_name is None:
            exchange = replay(series_of(candles, list(dict.fromkeys(symbol for _, symbol in wanted))))
        else:
            raise InvalidOption("candles are traded on paper, an exchange is somewhere else: choose one")
        options = Options(
            policy=policy,
            resume=resume,
            release=release,
            poll=poll,
            patience=patience,
            wait=wait,
            lease=lease,
        )
        return LiveRun(self._desk, exchange, wanted, options)

    def background(
        self,
        symbols: str | Sequence[str],
        *,
        strategy_name: str | Sequence[str] | None = None,
        exchange_name: str | None = None,
        on_event: Callable[[Happening], None] | None = None,
        **options: Any,
    ) -> "Handle":
        """Start a live run on a thread of the desk and return a handle on it; no signal handlers are installed.

        Works from a plain script as from a running loop. The process lives on until the run ends. Open signals of
        registered strategies may belong to a run that is started next: they are only warned about.
        """
        options.setdefault("policy", "later")
        run = self.run(symbols, strategy_name=strategy_name, exchange_name=exchange_name, **options)
        return Handle(run, self._desk.loop_thread(), on_event)
