"""The state machine: a store beside a dict and a list. It needs Hypothesis, which finds short failures by itself."""

import asyncio
import itertools
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.errors import Conflict, StoreInUse
from holdfast.store import ABSENT, ANY, Append, Change, Delete, Key, Put, Store
from holdfast.testing.conformance.case import Case, everything
from holdfast.testing.crash import Kill, reference
from holdfast.testing.log import Log, read_log
from holdfast.testing.own_adapter import store_of

__all__ = ("commit_one", "explore")

KEYS = [Key(name, entity_id) for name in ("one", "One", "a/b") for entity_id in ("x", "X", "é")]
VALUES = st.none() | st.integers(-5, 5) | st.text("ab", max_size=40) | st.lists(st.floats(0, 3), max_size=3)
STREAM = "h.X"
STEPS = 14
CRASHES = 2
"""How often a sequence crashes at most."""


def explore(case: Case) -> int:
    """Try sequences drawn from the seed; return how many steps were done. Raises what a short one raises.

    First without crashes, where what fails is made as short as it gets. A crash takes as long as all else: sequences
    with crashes are shorter from the start, and shown as they are.
    """
    steps = itertools.count()
    set_hypothesis_home_dir(case.folder)  # else it makes a folder where the user happens to be
    try:
        _explore(case, steps, crashes=0, length=STEPS, phases=[Phase.generate, Phase.shrink])
        if case.subject.address is not None:
            _explore(case, steps, crashes=CRASHES, length=STEPS // 2, phases=[Phase.generate])
    finally:
        set_hypothesis_home_dir(None)
    return next(steps)


def _explore(
    case: Case, steps: "itertools.count[int]", *, crashes: int, length: int, phases: list[Phase]
) -> None:
    class Chosen(StoreMachine):
        def __init__(self) -> None:
            super().__init__(case, steps, crashes)

    chosen = settings(
        max_examples=case.much(6), stateful_step_count=length, deadline=None, database=None, derandomize=False,
        suppress_health_check=list(HealthCheck), phases=phases, print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(seed(case.seed)(Chosen), settings=chosen)


class StoreMachine(RuleBasedStateMachine):
    """What is done to the store is done to the model, and then they are compared."""

    ids = Bundle("ids")

    def __init__(self, case: Case, steps: "itertools.count[int]", crashes: int) -> None:
        super().__init__()
        self.case = case
        self.steps = steps
        self.found = case.subject.found
        self.again = case.subject.keeps
        self.crashes = crashes
        self.numbers = itertools.count(1)
        self.records: dict[Key, tuple[Any, str]] = {}
        self.events: list[Any] = []

    @initialize()
    def begin(self) -> None:
        """Open an empty store."""
        self.runner = asyncio.Runner()
        self.namespace = self.case.namespace()
        self.second: Store | None = None
        self.store = self._opened()

    def _opened(self) -> Store:
        store = self.case.subject.make(self.namespace)
        self.runner.run(store.open())
        return store

    def teardown(self) -> None:
        """Close what is open."""
        if hasattr(self, "store"):
            self._close()
        if hasattr(self, "runner"):
            self.runner.close()

    def _close(self) -> None:
        self.runner.run(self.store.close())
        if self.second is not None:
            self.runner.run(self.second.close())
            self.second = None

    # ------------------------------------------------------------ what may be done

    @rule(
        target=ids,
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
        value=VALUES,
        by=st.sampled_from(["first", "second"]),
    )
    def put(self, keys: list[Key], value: Any, by: str) -> str:
        """Put some keys and append an event, through either store."""
        name = self._name()
        self._commit(by, [*(Put(key, value) for key in keys), Append(STREAM, value)], name)
        return name

    @rule(
        key=st.sampled_from(KEYS),
        expect=ids | st.sampled_from([ANY, ABSENT]),
        delete=st.booleans(),
        by=st.sampled_from(["first", "second"]),
    )
    def change_one(self, key: Key, expect: Any, delete: bool, by: str) -> None:
        """Put or delete a key, with an expectation that is met or not."""
        there = self.records[key][1] if key in self.records else ABSENT
        change: Change = Delete(key, expect) if delete else Put(key, "changed", expect)
        try:
            self._commit(by, [change], self._name())
            found = None
        except Conflict as conflict:
            found = conflict.found
        wanted = None if expect in (ANY, there) else there
        assert found == wanted, f"{change} was answered with {found!r} and not {wanted!r}"

    @rule(version=ids)
    def repeat(self, version: str) -> None:
        """Commit something else under an id that was committed."""
        assert self.runner.run(self.store.commit([Append(STREAM, "twice")], commit_id=version)) == version

    @rule()
    def reopen(self) -> None:
        """Close, and open again: the same object, or another one."""
        self._close()
        if self.again:
            self.store = self._opened()
        else:
            self.runner.run(self.store.open())

    @precondition(lambda self: self.crashes > 0)
    @rule(nth=st.integers(1, 25), key=st.sampled_from(KEYS))
    def crash(self, nth: int, key: Key) -> None:
        """Let another process commit, killed on the way; then whatever it did is there whole, or not at all."""
        self.crashes -= 1
        shared = self.found.shared
        if not shared:
            self._close()
        name, log = self._name(), self.case.folder / self.case.namespace()
        changes: list[Change] = [
            Put(key, name),
            Append(STREAM, name),
            Delete(KEYS[0] if key != KEYS[0] else KEYS[1]),
        ]
        arguments = {
            "address": self.case.address(self.namespace), "name": name, "log": str(log),
            "keys": [[one.entity_name, one.entity_id] for one in (key, changes[2].key)],  # type: ignore[union-attr]
        }  # fmt: skip
        life = self.case.life(
            reference(commit_one),
            arguments,
            kills=[Kill(point="", nth=nth)],
            patches=self.case.subject.patches,
        )
        assert life.ended in ("killed", "returned"), (
            f"a second process {life.ended}: {life.error} {life.message}"
        )
        if not shared:
            self.store = self._opened()
        said = {line.what for line in read_log(log)}
        [record] = self.runner.run(self.store.fresh(key))
        happened = record is not None and record.version == name
        assert happened or "acknowledged" not in said, "what a killed process was told is done is not there"
        assert not happened or "asked" in said, "what nobody asked for is there"
        if happened:
            self._apply(changes, name)

    @precondition(lambda self: self.again and not self.found.shared)
    @rule()
    def second_opener(self) -> None:
        """Where one at a time may have it open, nobody else gets in."""
        other = self.case.subject.make(self.namespace)
        try:
            self.runner.run(other.open())
        except StoreInUse:
            return
        self.runner.run(other.close())
        raise AssertionError("a second one got in, and was not told StoreInUse")

    # ------------------------------------------------------------ what is always so

    @invariant()
    def is_its_model(self) -> None:
        """Compare all records, the stream and the names with the model, through each store that is open."""
        next(self.steps)
        for store in filter(None, [getattr(self, "store", None), getattr(self, "second", None)]):
            for key, record in zip(KEYS, self.runner.run(store.fresh(*KEYS)), strict=True):
                found, wanted = record and (record.value, record.version), self.records.get(key)
                assert repr(found) == repr(wanted), f"{key} is {found} and not {wanted}"
            events = [event.value for event in self.runner.run(everything(store.read(STREAM)))]
            assert repr(events) == repr(self.events), f"the stream is {events} and not {self.events}"
            names = self.runner.run(store.names()).entities
            assert names == tuple(sorted({key.entity_name for key in self.records})), f"the names are {names}"

    # ------------------------------------------------------------ details

    def _name(self) -> str:
        return f"commit-{next(self.numbers)}"

    def _commit(self, by: str, changes: list[Change], name: str) -> None:
        store = self.store
        if by == "second" and self.again and self.found.shared:
            self.second = self.second or self._opened()
            store = self.second
        assert self.runner.run(store.commit(changes, commit_id=name)) == name
        self._apply(changes, name)

    def _apply(self, changes: list[Change], version: str) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.records[change.key] = change.value, version
            elif isinstance(change, Delete):
                self.records.pop(change.key, None)
            elif isinstance(change, Append):
                self.events.append(change.event)


async def commit_one(*, address: str, name: str, log: str, keys: list[list[str]]) -> None:
    """Make one commit of several changes: what the child does that is killed on the way."""
    lines = Log(log)
    put, delete = (Key(*key) for key in keys)
    async with store_of(address) as store:
        lines("asked", name)
        await store.commit([Put(put, name), Append(STREAM, name), Delete(delete)], commit_id=name)
        lines("acknowledged", name)
