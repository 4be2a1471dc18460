"""Trials: a scenario traded under kills and faults, compared with the same scenario traded in peace.

with Ground() as ground:
    trial = ground.trial("take-profit", kills=[Kill(point="orders.sending", nth=1)])
    assert trial.kept, trial.broken
"""

import itertools
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from holdfast.market.invented import SYNTHETIC_START
from holdfast.testing.bots import trade_scenario
from holdfast.testing.compare import Picture, different, doubled, lost, picture, renamed
from holdfast.testing.crash import Kill, Life, Nursery, Story
from holdfast.testing.exchange.faults import Fault
from holdfast.testing.exchange.options import Options
from holdfast.testing.exchange.process import SimulatedExchangeProcess
from holdfast.testing.own_adapter import ADAPTER
from holdfast.testing.scenarios import MINUTES, SCENARIOS, STRATEGY, Scenario, market_of
from holdfast.testing.servers.park import in_namespace
from holdfast.trading.candle import MINUTE

__all__ = ("EXPIRY", "Ground", "Place", "Trial", "busiest", "verdict")

EXPIRY = 0.25
"""Seconds after which the exchange refuses a request: a recovery may have to wait for as long."""


class Place(Struct, frozen=True):
    """Where one trial happens: its session at the exchange, and its store."""

    session: str
    url: str
    store: str
    folder: Path
    scenario: Scenario
    namespace: str = "default"

    def arguments(self, scenario: str) -> dict[str, Any]:
        """Return what a bot of the scenario is called with."""
        return {"scenario": scenario, "url": self.url, "store": self.store}

    def picture(self) -> Picture:
        """Return what is there now, named as in the namespace "default"."""
        seen = picture(self.url, self.store)
        if self.namespace == "default":
            return seen
        times = [SYNTHETIC_START + minute * MINUTE for minute in range(MINUTES + 1)]
        return renamed(seen, self.namespace, strategy=STRATEGY, symbols=self.scenario.symbols, times=times)


class Trial(Struct, frozen=True):
    """What became of a bot that was interrupted: its lives, what it left, and which promises that breaks."""

    story: Story
    seen: Picture
    doubled: list[str]
    lost: list[str]
    different: list[str]

    @property
    def kept(self) -> bool:
        """Whether P1, P2 and P3 were kept."""
        return not (self.doubled or self.lost or self.different)

    @property
    def broken(self) -> str:
        """What was not kept, in words, with where the bot was killed."""
        found = [*self.doubled, *self.lost, *self.different[:10]]
        return f"killed at {', '.join(self.story.died_at)}: " + "; ".join(found)


class Ground:
    """An exchange process, a nursery and a folder for any number of trials; use it as `with`, from one thread.

    Several grounds may share one `nursery`, which their user starts and stops.
    """

    def __init__(
        self,
        scenarios: Mapping[str, Scenario] = SCENARIOS,
        *,
        folder: str | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        self.scenarios = scenarios
        options = Options(request_expiry=EXPIRY, warmup=2)
        self.exchange = SimulatedExchangeProcess(market_of(scenarios), options)
        self.nursery = nursery or Nursery()
        self._owns_nursery = nursery is None
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-trial-", dir=folder))
        self._numbers = itertools.count(1)
        self._twins: dict[str, tuple[Picture, Life]] = {}

    def place(
        self, scenario: str, *, faults: Sequence[Fault] = (), store: str = "file:", **options: Any
    ) -> Place:
        """Return a fresh market, account and store for a scenario; `options` are the exchange's.

        `store` is "file:", "adapter:" or "sqlite:", which are kept in a folder of the trial, or the URL of a server's
        store without a namespace: the trial gets one of its own.
        """
        known = self.scenarios[scenario]
        session = f"{scenario}-{next(self._numbers)}"
        url = self.exchange.reset(session=session, fill_model=known.rules.fill_model, **options)
        if planned := (*known.faults, *faults):
            self.exchange.harm(*planned, session=session)
        folder = self._folder / session
        if store in ("file:", ADAPTER):
            return Place(session, url, f"{store}{folder}", folder, known)
        if store == "sqlite:":  # with a slash more, since the path is absolute
            folder.mkdir()
            return Place(session, url, f"sqlite:///{folder / 'state.db'}", folder, known)
        namespace = f"trial-{secrets.token_hex(8)}"
        return Place(session, url, in_namespace(store, namespace), folder, known, namespace)

    def twin(self, scenario: str) -> Picture:
        """Return what the scenario leaves behind where nothing interrupts it; traded once."""
        return self._twin(scenario)[0]

    def trace(self, scenario: str) -> tuple[str, ...]:
        """Return the points that the scenario reaches where nothing interrupts it, in their order."""
        return self._twin(scenario)[1].reached

    def _twin(self, scenario: str) -> tuple[Picture, Life]:
        if scenario not in self._twins:
            place = self.place(scenario)
            story = self.nursery.live_on(trade_scenario, place.arguments(scenario))
            self._twins[scenario] = place.picture(), story.last
        return self._twins[scenario]

    def trial(
        self,
        scenario: str,
        kills: Iterable[Kill | Sequence[Kill]] = (),
        *,
        faults: Sequence[Fault] = (),
        patches: Sequence[str] = (),
        **options: Any,
    ) -> Trial:
        """Trade a scenario through kills and faults, and compare what is left with its twin."""
        twin, place = self.twin(scenario), self.place(scenario, faults=faults, **options)
        arguments = place.arguments(scenario)
        story = self.nursery.live_on(trade_scenario, arguments, kills=kills, patches=patches)
        seen = place.picture()
        self.forget(place)
        return verdict(story, twin, seen)

    def forget(self, place: Place) -> None:
        """Remove a trial's files."""
        shutil.rmtree(place.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.exchange.start()
        self.nursery.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._owns_nursery:
            self.nursery.stop()
        self.exchange.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def verdict(story: Story, twin: Picture, seen: Picture) -> Trial:
    """Return which promises a story breaks that left `seen` where its twin left `twin`."""
    return Trial(story, seen, doubled(seen), lost(seen), different(twin, seen))


def busiest(trace: Sequence[str], point: str) -> int:
    """Return which time a point is reached between the intent and the outcome of an order, for `Kill.nth`.

    The last such time; the first of all where there is none, 0 where the point is never reached.
    """
    times, busy, count = [0, 0], False, 0
    for index, reached in enumerate(trace):
        busy = busy or "orders.sending" in trace[index : index + 4]
        if reached == point:
            count += 1
            times = [times[0] or count, count if busy else times[1]]
        busy = busy and reached != "orders.outcome-committed"
    return times[1] or times[0]
