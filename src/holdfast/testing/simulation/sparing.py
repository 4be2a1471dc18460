"""What goes wrong with a replica, and with the primary so that the replica takes its place."""

import random
from typing import Final

from holdfast.testing.simulation.network import HARMS
from holdfast.testing.simulation.trouble import PLACES_OF_REPLICATION, Trouble

__all__ = ("ACCEPTED", "LOST", "SPARE", "SWITCH", "troubles_of_replicas")

SPARE: Final = "spare"
LOST: Final = "lost"
ACCEPTED: Final = "lost, accepted"
SWITCH: Final = "switch"


def troubles_of_replicas(chance: random.Random, *, bots: int, long: float, moves: bool) -> list[Trouble]:
    """Return what befalls a replica in a run that takes about so `long` (s), and, if it `moves`, its promotion."""
    found = [_trouble(chance, bots, long, moves=moves) for _ in range(chance.choice((0, 1, 2, 4)))]
    return [*found, _promotion(chance, long)] if moves else found


def _trouble(chance: random.Random, bots: int, long: float, *, moves: bool) -> Trouble:
    bot, at = chance.randrange(bots), chance.choice((0.0, chance.uniform(0.0, long)))
    seconds = chance.choice((0.1, 1.0, 5.0, 30.0))
    what = chance.choice(("kill", "down", "apart", "full", "harm", "harm", "down" if moves else "back"))
    if what == "harm":
        place = f"{SPARE}/{chance.choice(('', 'commit', 'commit', 'get'))}"
        return Trouble(what=chance.choice(HARMS), on=place, nth=chance.randint(1, 60), seconds=seconds)
    if what == "kill":
        point = chance.choice(PLACES_OF_REPLICATION)
        return Trouble(what="kill", bot=bot, point=point, nth=chance.randint(1, 6), seconds=0.3)
    if what == "back":
        return Trouble(what="back", on=SPARE, at=at, nth=chance.choice((1, 3, 8, 30)), seconds=0.1)
    if what == "apart":
        return Trouble(what="apart", on=SPARE, bot=bot, at=at, seconds=seconds)
    return Trouble(what="full" if what == "full" else "down", on=SPARE, at=at, seconds=seconds)


def _promotion(chance: random.Random, long: float) -> Trouble:
    at, nth = chance.uniform(0.2 * long, long), chance.choice((0, 0, *range(1, 12)))
    why = chance.choice((LOST, LOST, ACCEPTED, SWITCH))
    return Trouble(what="promote", on=why, at=at, nth=nth, seconds=chance.choice((0.0, 0.5, 5.0)))
