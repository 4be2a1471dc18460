"""A server that has lost what it acknowledged is found out at the next connection, and no other is accused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import WentBack
from holdfast.store.lineage import Lineage


def test_nothing_is_asked_of_a_new_one() -> None:
    lineage = Lineage()
    assert lineage.newest(0.0) is None
    lineage.check(0, remembers=True, url="x:")
    lineage.check(7, remembers=True, url="x:")
    assert lineage.head == 7


def test_the_newest_commit_is_asked_for_as_long_as_it_must_be_remembered() -> None:
    lineage = Lineage()
    lineage.acknowledged("a", 3, 100.0)
    lineage.acknowledged("b", 5, 200.0)
    assert lineage.head == 5
    assert [lineage.newest(now) for now in (200.0, 700.0, 739.0, 741.0)] == ["b", "b", "b", None]


def test_an_answer_that_came_late_does_not_lower_the_head() -> None:
    lineage = Lineage()
    lineage.acknowledged("b", 5, 1.0)
    lineage.acknowledged("a", 3, 2.0)
    assert lineage.head == 5


@pytest.mark.parametrize(("head", "remembers"), [(4, True), (4, False), (5, False), (900, False)])
def test_a_server_that_went_back(head: int, remembers: bool) -> None:
    """Also one whose head has grown past the old one by the time that it is asked."""
    lineage = Lineage()
    lineage.acknowledged("b", 5, 1.0)
    with pytest.raises(WentBack, match="redis://host/0") as lost:
        lineage.check(head, remembers=remembers, url="redis://host/0")
    assert (lost.value.known, lost.value.found) == (5, head)
    assert lineage.head == 5, "it is found out again"


def test_control_the_head_alone_is_not_enough() -> None:
    lineage = Lineage()
    lineage.acknowledged("b", 5, 1.0)
    lineage.check(900, remembers=True, url="x:")


@given(st.lists(st.tuples(st.sampled_from("cfo"), st.integers(1, 3)), max_size=30))
def test_a_server_that_keeps_its_promises_is_never_accused(steps: list[tuple[str, int]]) -> None:
    """Commits of ours (c) and of others (o), and failovers (f) that lose none of them."""
    lineage, head, remembered, now = Lineage(), 0, set[str](), 0.0
    for step, amount in steps:
        now += amount * 100
        if step == "f":
            newest = lineage.newest(now)
            lineage.check(head, remembers=newest is None or newest in remembered, url="x:")
            continue
        head += amount
        remembered.add(str(head))
        if step == "c":
            lineage.acknowledged(str(head), head, now)
    assert lineage.head <= head


def test_whoever_was_told_goes_on_from_what_is_there() -> None:
    lineage = Lineage()
    lineage.acknowledged("c", 9, 0.0)
    lineage.begin()
    with pytest.raises(WentBack):
        lineage.check(7, remembers=True, url="x:")
    with pytest.raises(WentBack):
        lineage.check(7, remembers=True, url="x:")
    lineage.begin()
    lineage.check(7, remembers=True, url="x:")
    with pytest.raises(WentBack), lineage.telling():
        raise WentBack("found out elsewhere")
    lineage.begin()
    assert (lineage.head, lineage.newest(0.0)) == (0, None)
