"""Adapters of four methods, killed: before each call that writes, once a write has returned, and at random."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from holdfast.persist import PersistBase
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.faulted import calls_in, under_strace
from holdfast.testing.conformance.four_methods import PLACE, ready
from holdfast.testing.conformance.killed import traceable
from holdfast.testing.conformance.methods_at_once import long
from holdfast.testing.conformance.script import await_tracer
from holdfast.testing.conformance.subject import named
from holdfast.testing.crash import Life

__all__ = ("write_on",)

MOST = 16
"""Calls of one write before each of which it is killed, at least."""


class Entity:
    """One entity, overwritten by children that are killed; `newest` is what was found last."""

    def __init__(self, case: Case) -> None:
        self.newest = 0
        self._case = case
        self._log = case.folder / "log"
        self._place = {
            "adapter": case.subject.adapter, "entity_name": f"{case.folder.name}.one",
            "base_dir": f"{case.folder}/{PLACE}", "log": str(self._log),
        }  # fmt: skip

    async def life(self, **how: Any) -> Life:
        """Let a child overwrite it."""
        return await self._case.live(write_on, {**self._place, "begin": self.newest, **how})

    async def look(self, life: Life, when: str) -> None:
        """Fail unless the newest value that was acknowledged is there, or the one after it, whole."""
        if life.ended in ("raised", "hung"):
            self._case.broken(f"{when}, a write {life.ended}: {life.error} {life.message}")
        told = len(self._log.read_bytes()) if self._log.exists() else 0
        persist = await ready(self._case)
        try:
            found = await persist.read_value("x") if await persist.has_value("x") else long(0)
        except Exception as error:
            self._case.broken(f"{when}: reading it raised {type(error).__name__}: {error}")
        if found["text"] != [found["number"]] * 500 or not told <= found["number"] <= told + 1:
            there = (
                f"number {found['number']} is there, {len(found['text'])} long"
                if found["number"]
                else "nothing is"
            )
            self._case.broken(f"{when}: {told} writes had returned, and {there}")
        self.newest = found["number"]
        self._log.write_bytes(b"." * self.newest)
        self._case.history.clear()


@check(Level.CRASH_SAFE, promise="a write that returned is there after the process was killed, and none is torn",
       needs=("adapter", "elsewhere"))  # fmt: skip
async def methods_killed(case: Case) -> None:
    """Kill whoever overwrites an entity: in the instant in which a write returns, then at random."""
    entity = Entity(case)
    for count in (1, 2):
        life = await entity.life(count=count)
        await entity.look(life, "killed as soon as it had returned")
    for _ in range(max(case.much(3), 2)):
        life = await entity.life(seconds=0.02 + case.random.random() * 0.1)
        await entity.look(life, "killed at random")
    case.tell(writes=entity.newest)


@check(Level.CRASH_SAFE, promise="killed before any system call of a write, it has torn nothing, and can go on",
       needs=("adapter", "elsewhere", "strace"))  # fmt: skip
async def methods_killed_before_calls(case: Case) -> None:
    """Kill whoever overwrites an entity, by strace, before each call that changes something outside the process."""
    entity, pid_file, trace = Entity(case), case.folder / "pid", case.folder / "trace"
    life = await entity.life(count=1)
    await entity.look(life, "killed as soon as it had returned")

    async def traced(*options: str) -> Life:
        return await under_strace(pid_file, entity.life(count=1, traced=str(pid_file)), options)

    life = await traced("-yy", "-o", str(trace), "-e", f"trace={traceable()}")
    await entity.look(life, "traced")
    calls = calls_in(trace.read_text(), case.folder / "log")
    if not calls:
        raise NotShown("none of its calls was seen")
    for call in calls[: max(case.much(8), MOST)]:
        inject = f"inject={call.name}:signal=KILL:when={call.nth}"
        life = await traced("-o", "/dev/null", "-e", f"trace={call.name}", "-e", inject)
        await entity.look(life, f"killed before {call.name} number {call.nth}")
    life = await entity.life(count=1)
    await entity.look(life, "going on after that")
    case.tell(calls=len(calls))


async def write_on(
    *, adapter: str, entity_name: str, base_dir: str, log: str, begin: int, seconds: float = 0.0,
    count: int = 1 << 60, traced: str = "",
) -> None:  # fmt: skip
    """Overwrite an entity so often, or for so long, say so after each time, and be killed: what a child does."""
    persist: PersistBase = named(adapter)(entity_name, base_dir)
    await persist.wait_for_init(True)
    if traced:
        await_tracer(traced)
    if seconds:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    told = os.open(Path(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(begin + 1, begin + 1 + count):
        await persist.write_value("x", long(number))
        os.write(told, b".")
    os.kill(os.getpid(), signal.SIGKILL)
