"""A desk: the strategies, exchanges, risk profiles and the one store that belong together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from holdfast.errors import AlreadyRegistered, InvalidOption, LeaseHeld, NotRegistered
from holdfast.market.intervals import interval_ms
from holdfast.persist import Adapters
from holdfast.runtime.spec import ExchangeSpec, Manage, StrategyFunction, StrategySpec
from holdfast.store import Store
from holdfast.store.codec import check_name
from holdfast.system import (
    Clock,
    Ids,
    Processes,
    SystemClock,
    SystemProcesses,
    SystemThreads,
    Threads,
    system_ids,
)
from holdfast.trading.risk import RiskProfile, Validation
from holdfast.trading.rules import Rules

if TYPE_CHECKING:
    from holdfast.runtime.backtests import Backtest
    from holdfast.runtime.live.background import LoopThread
    from holdfast.runtime.live.runs import Live

__all__ = ("Desk",)

ADD: Final = {"strategy": "@strategy(…)", "exchange": "add_exchange(…)", "risk profile": "add_risk(…)"}

F = TypeVar("F", bound=StrategyFunction)
T = TypeVar("T")


class Desk:
    """Holds what a user registers, by name, and where its state is; the module-level names are a default one.

    `adapters` choose the store (by default files in `./logs/data`). Nothing is opened before a run starts.
    """

    def __init__(
        self,
        *,
        store: str | Store | None = None,
        adapters: Adapters | None = None,
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
        processes: Processes | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.ids = ids
        self.processes = processes or SystemProcesses()
        self.threads = threads or SystemThreads()
        self.adapters = adapters or Adapters(namespace=namespace, clock=self.clock, ids=ids)
        self.strategies: dict[str, StrategySpec] = {}
        self.exchanges: dict[str, ExchangeSpec] = {}
        self.profiles: dict[str, RiskProfile] = {}
        self._thread: LoopThread | None = None
        self._taken: set[tuple[str, str]] = set()
        if store is not None:
            self.use_store(store)

    @property
    def live(self) -> "Live":
        """Live runs of this desk; see `holdfast.runtime.live.runs.Live`."""
        from holdfast.runtime.live.runs import Live

        return Live(self)

    @property
    def backtest(self) -> "Backtest":
        """Backtests of this desk; see `holdfast.runtime.backtests.Backtest`."""
        from holdfast.runtime.backtests import Backtest

        return Backtest(self)

    def loop_thread(self) -> "LoopThread":
        """Return the thread of the desk's background runs, a new one where the last has ended."""
        from holdfast.runtime.live.background import LoopThread

        if self._thread is None or self._thread.over:
            self._thread = LoopThread()
        return self._thread

    @contextmanager
    def taking(self, wanted: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Have strategies on symbols for one live run while inside, and the adapters as they are.

        Raises LeaseHeld where another run of this desk has one of them.
        """
        mine = set(wanted)
        for strategy, symbol in sorted(mine & self._taken):
            raise LeaseHeld(
                f"another run of this desk trades {strategy} on {symbol}: stop or detach that one first (one that is "
                "left by `break` lets go a moment later)",
                strategy=strategy,
                symbol=symbol,
            )
        self._taken |= mine
        try:
            with self.adapters.running():
                yield
        finally:
            self._taken -= mine

    def use_store(self, url_or_store: str | Store) -> None:
        """Let one store serve everything; raises AdapterInUse once a run has started."""
        self.adapters.use_store(url_or_store)

    def strategy(
        self,
        name: str,
        *,
        interval: str,
        manage: Manage | None = None,
        risk: str | None = None,
        history: int = 1_500,
        timeout: float = 10.0,
        rules: Rules | None = None,
    ) -> Callable[[F], F]:
        """Register the decorated function, sync or async, as a strategy that is asked once per `interval`.

        `history` is in minutes, `timeout` (of a live call) in seconds, `risk` names a profile. Raises InvalidOption,
        AlreadyRegistered.
        """
        _check_name(name, "strategy")
        if not isinstance(history, int) or not isinstance(timeout, int | float):
            raise InvalidOption(f"strategy {name!r}: history is in minutes, timeout in seconds, both numbers")
        if rules is not None and not isinstance(rules, Rules):
            raise InvalidOption(f"strategy {name!r}: rules are a Rules(…), not {rules!r}")
        if manage is not None and not callable(manage):
            raise InvalidOption(f"strategy {name!r}: manage is a function of one context, not {manage!r}")
        if history < 10 or timeout <= 0:
            raise InvalidOption(f"strategy {name!r}: history is at least 10 minutes, timeout above 0 s")
        length = interval_ms(interval)

        def register(function: F) -> F:
            if not callable(function):
                raise InvalidOption(f"strategy {name!r} is to be a function of one context, not {function!r}")
            spec = StrategySpec(
                name=name,
                decide=function,
                interval=length,
                manage=manage,
                risk=risk,
                history=history,
                timeout=timeout,
                rules=rules or Rules(),
            )
            _register(self.strategies, name, spec, "strategy")
            return function

        return register

    def add_exchange(self, name: str, market: Any, *, broker: Any = None) -> None:
        """Register an exchange: its market data and a broker, or functions of no arguments that make them.

        Without a broker, orders are filled on paper. Raises InvalidOption, AlreadyRegistered.
        """
        _check_name(name, "exchange")
        for what, thing, method in (("market", market, "candles"), ("broker", broker, "submit")):
            if not callable(thing) and not hasattr(thing, method) and (thing is not None or what == "market"):
                raise InvalidOption(
                    f"exchange {name!r}: a {what} has `{method}`, or is a function that makes one, not {thing!r}"
                )
        _register(self.exchanges, name, ExchangeSpec(name=name, market=market, broker=broker), "exchange")

    def add_risk(
        self,
        name: str,
        *,
        max_positions: int | None = None,
        max_cost: float | None = None,
        validations: Sequence[Validation] = (),
    ) -> None:
        """Register a risk profile that strategies name; see `RiskProfile`. Raises AlreadyRegistered."""
        _check_name(name, "risk profile")
        for what, limit in (("max_positions", max_positions), ("max_cost", max_cost)):
            if limit is not None and (not isinstance(limit, int | float) or not limit > 0):
                raise InvalidOption(f"risk profile {name!r}: {what} is a number above 0, not {limit!r}")
        if not all(callable(one) and not iscoroutinefunction(one) for one in validations):
            raise InvalidOption(f"risk profile {name!r}: validations are plain functions of one view")
        profile = RiskProfile(
            name=name, max_positions=max_positions, max_cost=max_cost, validations=tuple(validations)
        )
        _register(self.profiles, name, profile, "risk profile")

    def strategy_named(self, name: str | None) -> StrategySpec:
        """Return a registered strategy, the only one for None; raises NotRegistered."""
        spec = _named(self.strategies, name, "strategy")
        if spec.risk is not None:
            _named(self.profiles, spec.risk, "risk profile")
        return spec

    def exchange_named(self, name: str | None) -> ExchangeSpec:
        """Return a registered exchange, the only one for None; raises NotRegistered."""
        return _named(self.exchanges, name, "exchange")


def _check_name(name: str, what: str) -> None:
    # A dot would let `history.a.b` be strategy "a" on symbol "b", or strategy "a.b".
    check_name(name, what)
    if any(mark in name for mark in "./\\ "):
        raise InvalidOption(f"a {what} name has no dots, slashes or spaces: {name!r}", name=name)


def _register(known: dict[str, T], name: str, thing: T, what: str) -> None:
    if name in known:
        raise AlreadyRegistered(f"{what} {name!r} is registered already on this desk", name=name)
    known[name] = thing


def _named(known: dict[str, T], name: str | None, what: str) -> T:
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None or name not in known:
        listed = ", ".join(sorted(known)) or f"none; {ADD[what]} adds one"
        wanted = f"no {what} is called {name!r}" if name else f"name the {what}"
        raise NotRegistered(f"{wanted}; registered: {listed}", name=name, known=tuple(sorted(known)))
    return known[name]
