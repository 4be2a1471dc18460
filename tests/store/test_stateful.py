"""Any sequence of commits, reads, checkpoints, reopens, kills and power cuts: the store is always its model."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from holdfast.errors import Conflict
from holdfast.store import ABSENT, ANY, Append, Change, Delete, Key, Put
from holdfast.store.backends.file.store import FileStore
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import all_kept, all_lost
from tests.store.workload import store_on

KEYS = [Key(name, entity_id) for name in ("one", "One", "a/b") for entity_id in ("x", "X", "y", "é")]
VALUES = st.none() | st.integers(-5, 5) | st.text("ab", max_size=40) | st.lists(st.integers(0, 3), max_size=3)


class FileStoreMachine(RuleBasedStateMachine):
    """A file store on a simulated disk beside a dict and a list."""

    versions = Bundle("versions")

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.disk = SimulatedDisk()
        self.records: dict[Key, tuple[Any, str]] = {}
        self.events: list[Any] = []
        self.ids: list[str] = []
        self.start()

    def start(self) -> None:
        self.store: FileStore = store_on(self.disk)
        self.runner.run(self.store.open())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.store.close())
            self.runner.close()

    def apply(self, changes: list[Change], version: str) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.records[change.key] = change.value, version
            elif isinstance(change, Delete):
                self.records.pop(change.key, None)
            elif isinstance(change, Append):
                self.events.append(change.event)

    @rule(
        target=versions,
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
        value=VALUES,
    )
    def put(self, keys: list[Key], value: Any) -> str:
        changes: list[Change] = [*(Put(key, value) for key in keys), Append("h.X", value)]
        version = self.runner.run(self.store.commit(changes))
        self.apply(changes, version)
        self.ids.append(version)
        return version

    @rule(key=st.sampled_from(KEYS), expect=versions | st.sampled_from([ANY, ABSENT]), delete=st.booleans())
    def change_one(self, key: Key, expect: Any, delete: bool) -> None:
        change = Delete(key, expect) if delete else Put(key, "changed", expect)
        there = self.records[key][1] if key in self.records else ABSENT
        try:
            version = self.runner.run(self.store.commit([change]))
        except Conflict as conflict:
            found = conflict.found
        else:
            found = None
            self.apply([change], version)
        assert found == (None if expect in (ANY, there) else there)

    @rule(version=versions)
    def repeat(self, version: str) -> None:
        assert self.runner.run(self.store.commit([Append("h.X", "twice")], commit_id=version)) == version

    @rule()
    def checkpoint(self) -> None:
        self.runner.run(self.store.checkpoint())

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.start()

    @rule(kill=st.booleans())
    def crash(self, kill: bool) -> None:
        root = self.disk.snapshot()
        self.runner.run(self.store.close())
        self.disk = SimulatedDisk.after_cut(root, all_kept if kill else all_lost)
        self.start()

    @invariant()
    def is_its_model(self) -> None:
        found = self.runner.run(self.store.get(*KEYS))
        for key, record in zip(KEYS, found, strict=True):
            assert (None if record is None else (record.value, record.version)) == self.records.get(key)
        assert self.runner.run(self.read()) == self.events
        assert self.store.head >= len(self.ids)

    async def read(self) -> list[Any]:
        return [event.value async for event in self.store.read("h.X")]


FileStoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestFileStore = FileStoreMachine.TestCase
