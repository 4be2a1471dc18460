"""Fault plans: by count, by chance, and always the same."""

from typing import Any

import pytest

from holdfast.testing.exchange import Fault, FaultPlan
from holdfast.testing.exchange.faults import Faults


def hits(count: int, seed: int = 0, **fault: Any) -> list[int]:
    """Return which of so many submits, from 1, a fault hits."""
    faults = Faults(FaultPlan(faults=(Fault(do="delay", **fault),), seed=seed))
    return [n for n in range(1, count + 1) if faults.meet("submit")]


def test_by_count() -> None:
    assert hits(9, on="submit") == [1]
    assert hits(9, on="submit", nth=3, times=2) == [3, 4]
    assert hits(5, on="any", nth=2, times=0) == [2, 3, 4, 5]
    assert hits(9, on="lookup") == []


def test_only_requests_of_its_kind_count() -> None:
    faults = Faults(FaultPlan(faults=(Fault(on="submit", do="delay", nth=2),)))
    met = [bool(faults.meet(kind)) for kind in ("submit", "lookup", "lookup", "submit", "submit")]
    assert met == [False, False, False, True, False]
    assert faults.done == {"delay": 1}


def test_by_chance_and_repeatable() -> None:
    half = hits(1_000, on="submit", chance=0.5, seed=3)
    assert 400 < len(half) < 600
    assert half == hits(1_000, on="submit", chance=0.5, seed=3)
    assert half != hits(1_000, on="submit", chance=0.5, seed=4)


def test_several_at_once() -> None:
    plan = FaultPlan(faults=(Fault(on="submit", do="delay"), Fault(on="any", do="drop_after", nth=1)))
    assert [fault.do for fault in Faults(plan).meet("submit")] == ["delay", "drop_after"]


def test_no_plan_is_no_fault() -> None:
    assert not any(Faults().meet("submit") for _ in range(10))
    with pytest.raises(TypeError):
        Fault(do="delay")  # type: ignore[call-arg]  # it must say what it is done to
