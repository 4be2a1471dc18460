"""Which states to try at a point: all of them where they are few, else the telling ones and a seeded sample."""

import random
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from holdfast.testing.explorer.files import Fate, fates
from holdfast.testing.explorer.models import STRICT, DataEffect, Model, NameEffect
from holdfast.testing.explorer.moments import Choice, Moment, State, walk
from holdfast.testing.explorer.operations import FailedFlush, Flush, FlushAll, FlushFolder, Trace

__all__ = ("MOST", "exhaustive", "states", "states_at")

MOST = 256
"""How many states are tried at a point."""

Names = frozenset[NameEffect]


def states(
    trace: Trace, *, model: Model = STRICT, most: int = MOST, seed: int = 0, since: int = 0
) -> Iterator[State]:
    """Yield every different state that a power cut during a run may leave, by point, from point `since` on.

    At a point with more than `most` of them: those where everything up to some operation survives, those where one
    operation alone does not, and more at random from the seed.
    """
    seen: set[bytes] = set()
    last = len(trace.operations)
    for moment, operation in walk(trace, model):
        if moment.point < since:
            continue
        if isinstance(operation, Flush | FlushFolder | FlushAll | FailedFlush) and moment.point < last:
            continue  # a flush leaves fewer states, each of which was possible before
        for state in states_at(moment, model=model, most=most, seed=seed):
            if state.digest not in seen:
                seen.add(state.digest)
                yield state


def states_at(moment: Moment, *, model: Model, most: int, seed: int) -> Iterator[State]:
    """Yield states of one point, some of them more than once."""
    found = exhaustive(moment, model, most)
    if found is not None:
        for names, paths, files in found:
            for chosen in product(*(product(*map(fates, moment.files[file].free)) for file in files)):
                yield moment.state(Choice(names, dict(zip(files, chosen, strict=True))), paths)
        return
    chance = random.Random(f"{seed}/{moment.point}")  # noqa: S311  # repeatable on purpose
    for wanted, became in _sampled(moment, most, chance):
        kept = model.lawful(moment.free_names, frozenset(wanted))
        yield moment.state(Choice(kept, _by_file(moment, became)))


def exhaustive(
    moment: Moment, model: Model, most: int
) -> list[tuple[Names, tuple[tuple[str, int], ...], list[int]]] | None:
    """Return every set of surviving names, with the paths and the files that then matter; None: too many states."""
    found, total = [], 0
    for names in model.surviving(moment.free_names):
        paths = moment.paths(names)
        here = dict.fromkeys(node for _, node in paths if node in moment.files and moment.files[node].free)
        total += prod(len(fates(effect)) for file in here for effect in moment.files[file].free)
        if total > most:
            return None
        found.append((names, paths, list(here)))
    return found


Sample = tuple[set[NameEffect], dict[int, Fate]]


def _sampled(moment: Moment, most: int, chance: random.Random) -> Iterator[Sample]:
    """Yield `most` choices: all names or all bytes lost, cuts in time, single losses, and random ones."""
    names, data = moment.free_names, moment.free_data
    lost = {effect.index: Fate.LOST for effect in data}
    whole: list[Sample] = [(set(names), lost), (set(), {}), (set(names), {}), (set(), lost)]
    yield from whole[:most]
    left = max(0, most - len(whole))
    for few in (_cuts(names, data), _single(names, data)):
        picked = few if len(few) <= left // 2 else chance.sample(few, left // 2)
        left -= len(picked)
        yield from picked
    for _ in range(left):
        yield _random(names, data, chance)


def _cuts(names: Sequence[NameEffect], data: Sequence[DataEffect]) -> list[Sample]:
    indices = sorted({*(effect.index for effect in names), *(effect.index for effect in data)})
    return [
        ({e for e in names if e.index < cut}, {e.index: Fate.LOST for e in data if e.index >= cut})
        for cut in indices[1:]
    ]


def _single(names: Sequence[NameEffect], data: Sequence[DataEffect]) -> list[Sample]:
    without: list[Sample] = [(set(names) - {effect}, {}) for effect in names]
    return without + [(set(names), {e.index: fate}) for e in data for fate in fates(e)[1:]]


def _random(names: Sequence[NameEffect], data: Sequence[DataEffect], chance: random.Random) -> Sample:
    share = chance.random()
    kept = {effect for effect in names if chance.random() < share}
    share = chance.random()
    return kept, {e.index: chance.choice(fates(e)[1:]) for e in data if chance.random() > share}


def _by_file(moment: Moment, became: dict[int, Fate]) -> dict[int, tuple[Fate, ...]]:
    return {
        node: tuple(became.get(effect.index, Fate.KEPT) for effect in file.free)
        for node, file in moment.files.items()
        if file.free
    }
