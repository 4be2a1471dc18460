"""What the crash tests kill: forks a process per case, which is killed by SIGKILL at the instant it was told.

An instant is a crash point, or one of three inside each write of the adapter: before it, before the rename that
makes it so, after it. Reads a case a line from standard input, answers with a line of what became of it.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from holdfast import points
from holdfast.persist import AdapterStore
from holdfast.persist.redo import Redo, Redoer
from holdfast.store import Append, Change, Check, Delete, Key, Put
from tests.persist.custom import NEVER, plain

SIGNAL, ETH = Key("signal.s", "BTCUSDT"), Key("signal.s", "ETHUSDT")
STATE, RUN, RISK = Key("state.s", "BTCUSDT"), Key("run.s", "BTCUSDT"), Key("risk.p", "positions")
HISTORY, SYSTEM = "history.s.BTCUSDT", "system.s.BTCUSDT"

COMMITS: tuple[tuple[Change, ...], ...] = (
    (Put(SIGNAL, {"n": 1}), Put(STATE, 1), Append(HISTORY, "opened")),
    (Put(RISK, ["a"]), Put(SIGNAL, {"n": 2}), Append(HISTORY, "b"), Append(SYSTEM, "started")),
    (Delete(STATE), Put(SIGNAL, None), Append(HISTORY, "c"), Append(HISTORY, "d"), Put(RISK, [])),
    (Put(STATE, 4), Put(ETH, 4), Put(RUN, 4)),
    (Check(SIGNAL, "c3"), Append(SYSTEM, "stopped"), Delete(ETH)),
)


class Instants:
    """Counts instants, and kills this process at the one that it was told."""

    def __init__(self, kill_at: int) -> None:
        self.passed = 0
        self._kill_at = kill_at

    def pass_one(self, point: str = "") -> None:
        self.passed += 1
        if self.passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def files(instants: Instants) -> type:
    """Return an adapter on files: written aside and renamed. Flushes say nothing here: the page cache survives."""

    class Files:
        adapter_name = "Files"

        def __init__(self, entity_name: str, base_dir: str) -> None:
            self.folder = Path(base_dir) / plain(entity_name)

        async def wait_for_init(self, initial: bool) -> None:
            self.folder.mkdir(parents=True, exist_ok=True)

        async def read_value(self, entity_id: str) -> Any:
            return json.loads((self.folder / plain(entity_id)).read_text())

        async def has_value(self, entity_id: str) -> bool:
            return (self.folder / plain(entity_id)).exists()

        async def write_value(self, entity_id: str, entity: Any) -> None:
            aside = self.folder / ".aside"
            instants.pass_one()
            aside.write_text(json.dumps(entity))
            instants.pass_one()
            aside.replace(self.folder / plain(entity_id))
            instants.pass_one()

    return Files


class Acks:
    """How many commits were acknowledged, as their caller remembers it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "acks"

    def count(self) -> int:
        return len(self._path.read_text()) if self._path.exists() else 0

    def add(self) -> None:
        with self._path.open("a") as file:
            file.write(".")


def model(count: int) -> Any:
    """Return what a store holds after the first commits."""
    records: dict[str, Any] = {}
    streams: dict[str, list[Any]] = {}
    for number, changes in enumerate(COMMITS[:count], 1):
        for change in changes:
            match change:
                case Put(key=key, value=value):
                    records[f"{key.entity_name}/{key.entity_id}"] = [value, f"c{number}"]
                case Delete(key=key):
                    records.pop(f"{key.entity_name}/{key.entity_id}", None)
                case Append(stream=stream, event=event):
                    found = streams.setdefault(stream, [])
                    found.append([len(found) + 1, event, f"c{number}"])
    return {"records": dict(sorted(records.items())), "streams": dict(sorted(streams.items()))}


async def held(store: AdapterStore) -> Any:
    """Return what a store holds, in the form of the model."""
    names = await store.names()
    records = {
        f"{name}/{record.key.entity_id}": [record.value, record.version]
        for name in names.entities
        async for record in store.scan(name)
    }
    streams = {
        name: [[event.number, event.value, event.version] async for event in store.read(name)]
        for name in names.streams
    }
    return {"records": dict(sorted(records.items())), "streams": dict(sorted(streams.items()))}


async def check(store: AdapterStore, acknowledged: int) -> int:
    """Return how many commits the store holds; raises where that is no whole number of them, or too few."""
    found = await held(store)
    whole = [count for count in range(len(COMMITS) + 1) if found == model(count)]
    assert whole, f"torn: {found}"
    assert whole[0] in (acknowledged, acknowledged + 1), f"{acknowledged} acknowledged, {whole[0]} held"
    return whole[0]


async def work(folder: Path, instants: Instants) -> None:
    """Go on where the last process was killed, and check everything on the way."""
    acks = Acks(folder)
    served = {"signal": files(instants), "risk": files(instants)}
    store = AdapterStore(served, base_dir=str(folder / "data"), heartbeat=NEVER)
    await store.open()
    await check(store, acks.count())
    for number in range(acks.count() + 1, len(COMMITS) + 1):
        await store.commit(COMMITS[number - 1], commit_id=f"c{number}")
        acks.add()
        assert await check(store, number) == number
    assert store.head == len(COMMITS), f"{store.head} commits"
    await store.close()


def mutate(name: str) -> None:
    """Break the protocol in one way, for the controls."""
    write = Redoer._write
    if name == "no redo write":

        async def written(self: Redoer, redo: Redo) -> None:
            pass

        Redoer._write = written  # type: ignore[method-assign]
    elif name == "redo without its rows":

        async def emptied(self: Redoer, redo: Redo) -> None:
            await write(self, replace(redo, rows=()))

        Redoer._write = emptied  # type: ignore[method-assign]
    elif name == "no repeat at start":

        async def repeat(self: Redoer, redo: Redo) -> None:
            pass

        Redoer.repeat = repeat  # type: ignore[method-assign]
    elif name:
        raise ValueError(name)


def live(case: dict[str, Any]) -> None:
    """Be the process of a case, to its end."""
    folder, instants = Path(case["folder"]), Instants(case["kill_at"])
    mutate(case["mutant"])
    points.reached = instants.pass_one
    try:
        asyncio.run(work(folder, instants))
    except Exception as error:
        (folder / "error").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    (folder / "passed").write_text(str(instants.passed))
    os._exit(0)


def serve() -> None:
    for line in sys.stdin:
        case = json.loads(line)
        child = os.fork()
        if child == 0:
            live(case)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    serve()
