"""What the kit says of a store that somebody else has written from scratch, and that it knows little of."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.store import Durability, Store, open_store
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing.conformance import Bench, Level, Pace, Subject, examine
from holdfast.testing.crash import Life
from tests.cli.builders import Here

OWN = "tests.testing_conformance.test_own_stores:own"
BROKEN = "tests.testing_conformance.test_own_stores:no_such_place"


def own(folder: str = "", namespace: str = "default") -> Store:
    """Return a store of which nothing is known but that it says to survive a power cut."""
    return Wrapper(open_store(f"sqlite:///{folder}/state.db" if folder else "memory:", namespace=namespace))


class Boasts(Wrapper):
    """Says that it survives a power cut."""

    durability = Durability.POWER_LOSS


def boasts(namespace: str = "default") -> Store:
    return Boasts(open_store("memory:", namespace=namespace))


def no_such_place(namespace: str = "default") -> Store:
    raise ConnectionRefusedError("no such place")


def test_a_callable_that_raises_is_said_and_no_traceback(here: Here) -> None:
    done = here("conform", BROKEN)
    assert done.code == 2
    assert f"{BROKEN} raised ConnectionRefusedError: no such place" in done.err


def test_a_store_that_passes_no_named_points_can_be_crash_safe(
    bench: Bench, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named points are Holdfast's own: who has none is killed before each system call."""
    subject = Subject.of_call(OWN, {"folder": str(quick_folder)}, claims=[Level.CRASH_SAFE])
    live = bench.nursery.live

    def pointless(*arguments: Any, **options: Any) -> Life:
        return replace(live(*arguments, **options), reached=())  # as of code that is not Holdfast's

    monkeypatch.setattr(bench.nursery, "live", pointless)
    (result,) = examine(subject, only=["killed-at-points"], bench=bench, pace=Pace(times=0.1)).results
    assert (result.state, result.said.partition(" (")[0]) == ("does not apply", "it passes no named points")


def test_durability_that_the_kit_cannot_look_at_is_said(here: Here) -> None:
    done = here(
        "conform", "tests.testing_conformance.test_own_stores:boasts", "--check", "put-and-get", "--json"
    )
    assert done.summary["durability"] == "POWER_LOSS"
    assert done.summary["not_tried"] == ["power-safe"]
    assert "power-safe" not in done.summary["levels"]
