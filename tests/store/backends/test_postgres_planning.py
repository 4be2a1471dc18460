"""Batches that are decided before the server is asked: what everybody is told is true, whatever the server holds."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Conflict
from holdfast.store import ABSENT, ANY, Change, Check, Delete, Key, Put
from holdfast.store.backends.postgres.planning import Plan, mistaken
from holdfast.store.changes import meets
from holdfast.store.deciding import Decision
from holdfast.store.group import Request

State = dict[Key, str]
KEYS = [Key("a", name) for name in "xyz"]
EXPECT = st.sampled_from([ANY, ANY, ABSENT, "v1", "v2", "c0", "c1", "c2"])
CHANGE = st.tuples(st.sampled_from(["put", "delete", "check"]), st.sampled_from(KEYS), EXPECT)


def change(kind: str, key: Key, expect: Any) -> Change:
    if kind == "put":
        return Put(key, 1, expect)
    return Delete(key, expect) if kind == "delete" else Check(key, expect)


async def settled(batch: list[Request], state: State) -> list[Any]:
    """Do what the writer and the function `commit` do, on a dict."""
    outcomes: list[Any] = [ANY] * len(batch)
    left = list(enumerate(batch))
    while left:
        plan = Plan([request for _, request in left])
        found = [state.get(key) for key in plan.assumed]
        if found == list(plan.assumed.values()):
            for (place, _), outcome in zip(left, plan.conflicts, strict=True):
                outcomes[place] = outcome, dict(state)
            for key, wrote in plan._decision.written.items():
                state.pop(key, None)
                if wrote is not None:
                    state[key] = wrote[1]
            return outcomes
        answers = mistaken(plan, [], found)
        assert answers, "nobody is settled: it would be asked for ever"
        for place, outcome in answers.items():
            outcomes[left[place][0]] = outcome, dict(state)
        left = [one for place, one in enumerate(left) if place not in answers]
    return outcomes


@given(
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["v1", "v2"])),
    st.lists(st.lists(CHANGE, min_size=1, max_size=3, unique_by=lambda one: one[1]), min_size=1, max_size=4),
)
def test_what_everybody_is_told_is_true(before: State, commits: list[list[tuple[str, Key, Any]]]) -> None:
    async def tried() -> None:
        batch = [Request([change(*one) for one in made], f"c{i}") for i, made in enumerate(commits)]
        state = dict(before)
        outcomes = await settled(batch, state)
        # Those that were settled first are refused on what was there; the others, one behind the other.
        decision = Decision(before, {}, (), 0)
        for request, (outcome, _) in zip(batch, outcomes, strict=True):
            if outcome is None:
                assert decision.take(request) is None
            else:
                assert isinstance(outcome, Conflict)
                found = None if outcome.found is ABSENT else outcome.found
                assert found in (before.get(outcome.key), decision._versions.get(outcome.key))
                assert not meets(found, outcome.expected)
        assert state == {key: version for key, version in decision._versions.items() if version is not None}

    asyncio.run(tried())


async def test_a_refused_commit_writes_nothing_that_the_next_one_is_judged_by() -> None:
    """The second would have put what the third expects to be as it was: but the second is refused."""
    x, y, _ = KEYS
    batch = [
        Request([Put(x, 1, "v1")], "c0"),
        Request([Put(y, 2), Check(x, "v1")], "c1"),
        Request([Put(y, 3, "v2")], "c2"),
    ]
    state = {x: "v1", y: "v2"}
    outcomes = [outcome for outcome, _ in await settled(batch, state)]
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Conflict)
    assert outcomes[2] is None
    assert state == {x: "c0", y: "c2"}
