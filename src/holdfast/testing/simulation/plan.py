"""A run as it follows from its seed and number: what is traded, on what, by how many, and what troubles them.

Troubles are single things, each of which can be left out: what fails can be made smaller.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.broker.account import Dedupe
from holdfast.testing.scenarios import SCENARIOS, Scenario
from holdfast.testing.simulation.inventing import invented
from holdfast.testing.simulation.network import HARMS
from holdfast.testing.simulation.sparing import SPARE, SWITCH, troubles_of_replicas
from holdfast.testing.simulation.trouble import KINDS, PLACES, Trouble, What

__all__ = ("Pace", "Plan", "Stores", "Trouble", "plan_of")

Pace = Literal["paced", "running"]
Stores = Literal["file", "shared", "adapter"]


class Plan(Struct, frozen=True, kw_only=True):
    """One run. `split` bots have symbols of their own; others want the same ones, and all but one of them wait.

    `torn` says that jobs on threads meet each other half done; see `threads`. A `replicated` store has a replica on a
    server of its own, which its followers ask every `poll` seconds what is new.
    """

    seed: str
    scenario: Scenario
    pace: Pace = "paced"
    speed: float = 60.0
    stores: Stores = "file"
    bots: int = 1
    split: bool = False
    machines: int = 1
    expiry: float = 0.5
    lease: float = 2.0
    patient: bool = True
    cached: bool = False
    encrypted: bool = False
    observed: bool = False
    replicated: bool = False
    poll: float = 1.0
    slow: float = 1.0
    torn: bool = False
    dedupe: Dedupe = "open"
    segment_bytes: int = 8_192
    checkpoint_seconds: float = 1.0
    troubles: tuple[Trouble, ...] = ()

    @property
    def transparent(self) -> bool:
        """Whether P3 is asked for: the market waits for all that trade on it, and nothing was lost on purpose."""
        return self.pace == "paced" and not self.split and not self.goes_back

    @property
    def goes_back(self) -> bool:
        """Whether the store loses commits that it has acknowledged."""
        return any(
            trouble.what in ("back", "restore") and trouble.on != SPARE for trouble in self.troubles
        ) or any(trouble.what == "promote" and trouble.on != SWITCH for trouble in self.troubles)

    @property
    def moves(self) -> bool:
        """Whether the replica is to take the primary's place."""
        return any(trouble.what == "promote" for trouble in self.troubles)

    @property
    def words(self) -> str:
        """The run in few words."""
        bots = f"{self.bots} bot{'s' if self.bots > 1 else ''}{' with symbols of their own' if self.split else ''}"
        options = ("encrypted", "observed", "replicated", "cached")
        store = " ".join([*(name for name in options if getattr(self, name)), self.stores])
        return f"{self.scenario.name}, {self.pace} market, {store} store, {bots}"


def plan_of(seed: int, number: int) -> Plan:
    """Return the run of that number: always the same."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  # repeatable on purpose
    scenario = (
        invented(chance, f"invented-{seed}-{number}")
        if chance.random() < 0.4
        else SCENARIOS[chance.choice(sorted(SCENARIOS))]
    )
    stores: Stores = chance.choice(("file", "file", "file", "shared", "shared", "adapter"))
    bots = {"shared": chance.choice((1, 2)), "file": chance.choice((1, 1, 1, 2)), "adapter": 1}[stores]
    pace: Pace = chance.choice(("paced", "paced", "running"))
    expiry = chance.choice((0.25, 0.5, 2.0))
    plan = Plan(
        seed=f"{seed}/{number}",
        scenario=scenario,
        pace=pace,
        speed=chance.choice((10.0, 60.0, 240.0)),
        stores=stores,
        bots=bots,
        split=bots == 2 and stores == "shared" and len(scenario.plans) > 1 and chance.random() < 0.5,
        machines=bots if stores == "shared" and chance.random() < 0.7 else 1,
        expiry=expiry,
        lease=chance.choice((1.0, 3.0, 8.0)),
        slow=chance.choice((0.3, 1.0, 1.0, 3.0)),
        dedupe=chance.choice(("open", "open", "always")),
        segment_bytes=chance.choice((2_048, 8_192, 32_768)),
        patient=pace == "paced" or chance.random() < 0.7,
        cached=chance.random() < 0.25,
        torn=stores == "file" and chance.random() < 0.4,
        checkpoint_seconds=chance.choice((0.05, 0.5, 60.0)),
    )
    return _spared(_troubled(plan, chance))


def _long(plan: Plan) -> float:
    return 2.0 if plan.pace == "paced" else 20 * 60 / plan.speed


def _troubled(plan: Plan, chance: random.Random) -> Plan:
    long = _long(plan)
    many = chance.choice((1, 2, 3, 5, 8))
    troubles = [_trouble(plan, chance, long) for _ in range(many)]
    if chance.random() < 0.35:
        troubles += _while_sending(plan, chance)
    return replace(plan, troubles=tuple(troubles))


def _spared(plan: Plan) -> Plan:
    """Return a plan with wrappers around its store, and what befalls a replica: other chances stay as they are."""
    chance = random.Random(f"{plan.seed}/wrappers")  # noqa: S311  # repeatable on purpose
    plan = replace(plan, encrypted=chance.random() < 0.2, observed=chance.random() < 0.15)
    if plan.stores == "adapter" or chance.random() < 0.6:
        return plan
    moves = chance.random() < 0.5 and not plan.goes_back
    spared = troubles_of_replicas(chance, bots=plan.bots, long=_long(plan), moves=moves)
    poll = chance.choice((0.1, 1.0))
    return replace(plan, replicated=True, poll=poll, troubles=(*plan.troubles, *spared))


def _while_sending(plan: Plan, chance: random.Random) -> list[Trouble]:
    """Return what is worst for an order: it is late, or its answer is lost, and who sent it is gone or asleep."""
    nth, bot = chance.randint(1, 3), chance.randrange(plan.bots)
    ends: tuple[What, ...] = ("kill", "kill", "pause", "suspend")
    end = chance.choice(ends)
    point = chance.choice(("ask submit", "ask submit", "orders.sending"))
    away = chance.choice((0.01, 0.3, 1.5)) if end == "kill" else 1.5 * plan.lease
    worst: tuple[What, ...] = ("delay", "delay", "lose answer", "cut answer")
    harm = Trouble(what=chance.choice(worst), on="exchange/submit", nth=nth, seconds=_delay(chance, plan))
    return [harm, Trouble(what=end, bot=bot, point=point, nth=nth, seconds=away)]


def _trouble(plan: Plan, chance: random.Random, long: float) -> Trouble:
    bot = chance.randrange(plan.bots)
    what = chance.choice(_possible(plan))
    at = chance.uniform(0.0, long)
    if what in ("kill", "power"):
        down = chance.choice((0.01, 0.3, 5.0))
        return Trouble(what=what, bot=bot, seconds=down, **_when(chance, at))
    if what in HARMS:
        on = chance.choice(("exchange", "store")) if plan.stores == "shared" else "exchange"
        kind = chance.choice(KINDS if on == "exchange" else ("", "commit", "get"))
        nth = chance.randint(1, 3 if kind in ("submit", "lookup", "cancel") else 60)
        return Trouble(what=what, on=f"{on}/{kind}", nth=nth, seconds=_delay(chance, plan))
    if what == "back":
        return Trouble(what=what, at=at, nth=chance.choice((1, 3, 8, 30)), seconds=chance.choice((0.1, 2.0)))
    if what == "restore":
        return Trouble(what=what, bot=bot, at=at, seconds=chance.uniform(0.0, at))
    if what in ("flush", "rows"):
        return Trouble(what=what, bot=bot, at=at)
    if what == "clock":
        return Trouble(what=what, bot=bot, at=at, seconds=chance.choice((-60.0, -2.0, 2.0, 30.0)))
    if what in ("pause", "suspend"):
        return Trouble(what=what, bot=bot, seconds=_asleep(chance, plan), **_when(chance, at))
    seconds = chance.choice((0.05, 0.5, 2.0)) if plan.transparent else chance.choice((0.5, 5.0, 30.0))
    if what == "full":
        return Trouble(what=what, bot=bot, at=at, seconds=seconds)
    on = "store" if plan.stores == "shared" and (what == "down" or chance.random() < 0.5) else "exchange"
    return Trouble(what=what, bot=bot, at=at, seconds=seconds, on=on)


def _when(chance: random.Random, at: float) -> dict[str, Any]:
    where = chance.random()
    if where < 0.35:
        return {"point": chance.choice(PLACES), "nth": chance.randint(1, 6)}
    if where < 0.7:
        return {"point": chance.choice(("any", "disk")), "nth": chance.randint(1, 150)}
    return {"at": at}


def _asleep(chance: random.Random, plan: Plan) -> float:
    # A strategy that was asked and does not answer in ten seconds is not asked again: no run is the same after that.
    return (
        chance.choice((0.5, 2.0, 1.2 * plan.lease)) if plan.transparent else chance.choice((0.5, 5.0, 30.0))
    )


def _delay(chance: random.Random, plan: Plan) -> float:
    return chance.choice((0.1, 0.4, 1.0)) if plan.transparent else chance.choice((0.2, 3.0, 12.0))


def _possible(plan: Plan) -> Sequence[What]:
    kills: tuple[What, ...] = ("kill",) * 6 if plan.stores != "file" else ("kill",) * 4 + ("power",) * 3
    net: tuple[What, ...] = ("lose", "lose answer", "cut", "cut answer", "delay", "delay answer")
    rest: tuple[What, ...] = ("pause", "suspend", "clock", "apart")
    if plan.stores == "file":
        rest = (*rest, "flush") if plan.transparent else (*rest, "flush", "full", "full", "restore")
    elif plan.stores == "adapter":
        rest = (*rest, "rows", "rows")
    else:
        rest = (*rest, "down") if plan.transparent else (*rest, "down", "back")
    if plan.dedupe == "always":
        rest = (*rest, "repeat")
    return (*kills, *net, *rest)
