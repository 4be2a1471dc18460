"""Ways that are packages of their own, where this version has them: the simulation, and fuzzing."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.ways import Found, Play
from holdfast.testing.extras import lacking

__all__ = ("fuzzing", "simulation")

SEED: Final = 1
RUNS: Final = 25
SECONDS: Final = 4.0
"""How long a seed feeds its target: each has the same time, whatever it does in it."""

CONTROL: Final = 20_000
"""So many inputs, at the most, find a reader that is wrong on purpose."""

KEPT: Final = Path(".campaign/fuzz")


@contextmanager
def simulation(_: str) -> Iterator[Play]:
    """Yield what simulates some runs, after broken designs, which must be noticed."""
    campaign, tally = _module("simulation.campaign"), _module("simulation.tally")
    if why := lacking(*_module("simulation.stores").EXTRAS):
        raise NotShown(why)
    missed = [
        f"a broken design was not noticed: {name}"
        for name, runs in campaign.controls_noticed(SEED)
        if not runs
    ]

    def some(seed: int) -> Found:
        part = campaign.some_runs(SEED, (seed - 1) * RUNS + 1, RUNS)
        failed = [
            f"python -m holdfast.testing.simulation --seed {SEED} --only {number}: {'; '.join(said)}"
            for number, said in part.failed.items()
        ]
        return Found(
            {name.removesuffix(" (P3)"): count for name, count in tally.counted(part).items()},
            (*failed, *missed),
        )

    yield some


@contextmanager
def fuzzing(_: str) -> Iterator[Play]:
    """Yield what fuzzes one target after the other, each seed the next; first, readers with a bug must be found."""
    spraying, target, targets = (_module(f"fuzzing.{name}") for name in ("spraying", "target", "targets"))
    if why := lacking(*targets.EXTRAS):
        raise NotShown(why)
    names = sorted(targets.TARGETS)
    missed = [
        f"a reader with a bug was not noticed: {name}"
        for name, path in targets.CONTROLS.items()
        if spraying.sprayed(target.target_of(path), number=SEED, most=CONTROL)[1] is None
    ]

    def one(seed: int) -> Found:
        chosen = target.target_of(names[seed % len(names)])
        fed, crash = spraying.sprayed(chosen, number=seed, seconds=SECONDS)
        broken = [_said(chosen.name, crash)] if crash is not None else []
        return Found({"inputs": fed, "crashes": len(broken)}, (*broken, *missed))

    yield one


def _said(name: str, crash: Any) -> str:
    """Keep the input of a crash, and return what it is and how to see it again."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{name}-{crash.name}.bin"
    path.write_bytes(crash.data)
    return f"python -m holdfast.testing.fuzzing --replay {path} {name}: {crash.kind}\n{crash.story}"


def _module(name: str) -> Any:
    package = f"holdfast.testing.{name.partition('.')[0]}"
    if find_spec(package) is None or find_spec(f"holdfast.testing.{name}") is None:
        raise NotShown(f"this version has no {package}")
    return import_module(f"holdfast.testing.{name}")
