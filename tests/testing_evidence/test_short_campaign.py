"""The campaign's short form, on each change: the first seeds of its quick ways, each on every target."""

from collections import Counter
from collections.abc import Callable

import pytest

from holdfast.testing.conformance.checks import NotShown
from holdfast.testing.evidence.ways import WAYS, Cell, cells, play_of
from tests.conftest import need_servers

SEEDS = {"histories": 5, "network": 1, "power-cuts": 1}
"""How many seeds of a way: one history of 400 operations, each harm of a network, ten cuts of a new disk."""
KINDS = {"redis", "postgres", "mongo"}


@pytest.mark.crash
@pytest.mark.needs("strace")
@pytest.mark.parametrize("cell", cells(tuple(SEEDS)), ids=str)
def test_the_first_seeds_break_nothing(cell: Cell, record_property: Callable[[str, object], None]) -> None:
    need_servers(*sorted(KINDS & {*cell.target.split("-")}))
    tried = Counter[str]()
    try:
        with play_of(cell) as play:
            for seed in range(SEEDS[cell.way]):
                found = play(seed)
                tried.update(found.counts)
                assert found.broken == (), f"seed {seed}"
    except NotShown as why:
        pytest.skip(str(why))
    assert sum(tried[zero] for zero in WAYS[cell.way].zeros) == 0
    for what, count in tried.items():
        record_property(what, count)
