"""Crash-safe: processes killed at every named point, before every system call that writes, at random, in recovery.

A kill says nothing of what a power cut leaves: the kernel keeps what was written. That is the level power-safe.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, SaysNothing, check
from holdfast.testing.conformance.faulted import under_strace
from holdfast.testing.conformance.recording import changed
from holdfast.testing.conformance.script import Script, reopen, state_of, told_of, work
from holdfast.testing.crash import Kill, Life
from holdfast.testing.log import read_log
from holdfast.testing.verdict import judged
from holdfast.testing.workloads import bank, prepare

__all__ = ("Place", "bank_at", "condemned", "doomed_bank", "has_committed", "traceable")

COMMITS: Final = 5
WRITERS: Final = 60
CALLS: Final = (
    "write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,"
    "link,linkat,ftruncate,truncate,fallocate,mkdir,mkdirat,sendto,sendmsg"
)
"""What may change something outside the process; -e does without those that this machine does not know."""


class Place:
    """A namespace on which one script goes on, however often who makes its commits is killed."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.address = case.address(case.namespace())
        self.script = Script(case.seed)
        self.done = 0
        self._lives = 0

    async def life(self, *kills: Kill, count: int = COMMITS, **how: Any) -> Life:
        """Let a child make the next commits, until it is killed or done."""
        self._lives += 1
        arguments = {
            "address": self.address, "log": str(self._log), "seed": self.case.seed, "begin": self.done,
            "count": count, **how,
        }  # fmt: skip
        return await self.case.live(work, arguments, kills=kills)

    async def recover(self, kill: Kill) -> bool:
        """Let a child recover, and be killed in that; return whether it was."""
        recovery = await self.case.live(reopen, {"address": self.address}, kills=[kill])
        if recovery.ended in ("hung", "raised"):
            self.case.broken(
                f"after a kill the next start {recovery.ended}: {recovery.error} {recovery.message}"
            )
        return recovery.ended == "killed"

    async def look(self, life: Life, when: str) -> None:
        """Fail unless the state is that after all commits that were acknowledged, or one more."""
        if life.ended in ("hung", "raised"):
            self.case.broken(f"{when}, the next one {life.ended}: {life.error} {life.message}")
        acknowledged, asked = told_of(self._log, self.done)
        store = self.case.closed_store_at(self.address)
        async with store:
            state = await state_of(store)
            found = self.script.found(state, acknowledged, asked)
        if found is None:
            self.case.broken(f"{when}: {self.script.fault(state, acknowledged, asked)}", self._story(asked))
        self.done = found

    @property
    def _log(self) -> Path:
        return self.case.folder / f"life-{self._lives}"

    def _story(self, asked: int) -> list[str]:
        made = [self.script.commit(number) for number in range(max(0, asked - 3), asked)]
        return [f"commit {commit_id} {changed(changes)}" for changes, commit_id in made]


@check(Level.CRASH_SAFE, promise="what is acknowledged is there, though whoever was told is killed in that instant",
       needs=("elsewhere",))  # fmt: skip
async def killed_once_told(case: Case) -> None:
    """Kill whoever commits in the same step in which the last commit is acknowledged."""
    place = Place(case)
    turns = case.much(3)
    for turn in range(turns):
        life = await place.life(count=1 + turn % 3, die=True)
        await place.look(life, "killed in the instant of an acknowledgement")
    case.tell(kills=turns)


@check(Level.CRASH_SAFE, promise="killed at a named point of a commit, it has lost nothing, torn nothing, and goes on",
       needs=("elsewhere",))  # fmt: skip
async def killed_at_points(case: Case) -> None:
    """Kill at every named point that opening, committing and closing reach; then once more while it recovers."""
    place = Place(case)
    life = await place.life()
    await place.look(life, "undisturbed")
    points = sorted(set(life.reached))
    if not points:
        raise SaysNothing("it passes no named points (`holdfast.points`): see killed-before-calls")
    kills = [Kill(point=point, nth=1) for point in points]
    kills += [Kill(point=point, nth=life.reached.count(point)) for point in points]
    case.random.shuffle(kills)
    killed = again = 0
    for turn, kill in enumerate(kills):
        if killed and turn >= case.much(8):
            break
        life = await place.life(kill)
        killed += life.ended == "killed"
        if life.ended == "killed":
            again += await place.recover(Kill(nth=case.random.randint(1, 12)))
        await place.look(life, f"killed at {kill.point} ({kill.nth})")
    case.tell(points=len(points), kills=killed, kills_in_recovery=again)
    _need_kills(killed)


@check(Level.CRASH_SAFE, promise="killed before any system call that writes or sends, it has lost and torn nothing",
       needs=("elsewhere", "strace"))  # fmt: skip
async def killed_before_calls(case: Case) -> None:
    """Kill, by strace, before each of the calls that change something outside the process."""
    place = Place(case)
    trace = case.folder / "trace"
    life = await traced_life(place, ["-o", str(trace), "-e", f"trace={traceable()}"])
    await place.look(life, "undisturbed")
    instants = _instants(trace.read_text())
    case.random.shuffle(instants)
    killed = 0
    for turn, (call, nth) in enumerate(instants):
        if killed and turn >= case.much(8):
            break  # not every life comes that far
        inject = f"inject={call}:signal=KILL:when={nth}"
        life = await traced_life(place, ["-o", "/dev/null", "-e", f"trace={call}", "-e", inject])
        killed += life.ended == "killed"
        await place.look(life, f"killed before {call} number {nth}")
    case.tell(calls=len(instants), kills=killed)
    _need_kills(killed)


@check(Level.CRASH_SAFE, promise="killed at random under load, it has lost, doubled and torn nothing",
       needs=("elsewhere",))  # fmt: skip
async def killed_at_random(case: Case) -> None:
    """Kill processes of writers and readers, at random instants, while others go on if they may."""
    namespace = case.namespace()
    address = case.address(namespace)
    await prepare(address)
    logs: list[Path] = []
    count = 2 if case.subject.found.shared else 1
    turns = min(case.much(3), WRITERS // 2 // count)
    for _ in range(turns):
        after = case.random.random() * 0.4
        await bank_at(case, address, logs, [after, *([None] * (count - 1))], limit=0.5)
    await condemned(case, address, logs)
    case.tell(kills=turns)


def _need_kills(count: int) -> None:
    if not count:
        raise NotShown("no process came to where it was to be killed")


async def bank_at(
    case: Case, address: str, logs: list[Path], kills: Sequence[float | None], *, limit: float
) -> None:
    """Let processes of the bank live: each until so many seconds after its first commit, or (None) for `limit`.

    Their logs are added to `logs`.
    """
    everyone = [f"w{number}" for number in range(WRITERS)]
    lives = []
    for after in kills:
        first = len(logs) * 2
        logs.append(case.folder / f"bank-{len(logs)}")
        arguments = {
            "url": address, "log": str(logs[-1]), "writers": everyone[first : first + 2], "everyone": everyone,
            "stop": str(case.folder / "stop"), "seed": case.seed + len(logs),
            "limit": limit if after is None else case.pace.limit / 2, "after": after,
        }  # fmt: skip
        lives.append(case.live(doomed_bank, arguments))
    for after, life in zip(kills, await asyncio.gather(*lives), strict=True):
        if life.ended in ("raised", "hung"):
            case.broken(f"a process {life.ended}: {life.error} {life.message}")
        if life.ended == "returned" and after is not None:
            raise NotShown(
                f"in {case.pace.limit / 2:g} s nothing was acknowledged after which it could be killed"
            )


async def doomed_bank(*, log: str, after: float | None, **arguments: Any) -> None:
    """Write and read as processes of the bank do, and be killed so long after the first commit: what a child does."""
    if after is not None:
        threading.Thread(target=_end, args=(log, after), daemon=True).start()
    await bank(log=log, **arguments)


def _end(log: str, after: float) -> None:
    while not has_committed(Path(log)):
        time.sleep(0.002)
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)


def has_committed(*logs: Path) -> int:
    """Return of how many commits processes have been told."""
    return sum(line.what == "acknowledged" for log in logs for line in read_log(log))


async def condemned(case: Case, address: str, logs: Sequence[Path]) -> None:
    """Fail unless what the bank holds is what its writers and readers were told."""
    verdict = await judged(address, logs)
    case.tell(commits=verdict.counts.get("acknowledged", 0), unknown=verdict.counts.get("unknown commits", 0))
    if not verdict.sound:
        kinds = {
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "torn": verdict.torn,
            "wrong": verdict.wrong,
        }
        said = ", ".join(f"{len(found)} {kind}" for kind, found in kinds.items() if found)
        case.broken(said, [line[:300] for found in kinds.values() for line in found][:8])


async def traced_life(place: Place, options: Sequence[str]) -> Life:
    """Let a child make the next commits under strace; raises NotShown where that may not attach to it."""
    pid_file = place.case.folder / "pid"
    return await under_strace(pid_file, place.life(traced=str(pid_file)), options)


def _instants(trace: str) -> list[tuple[str, int]]:
    """Return each call by its name and number, as strace counts: every thread and every name by itself."""
    calls = Counter(tuple(line.partition("(")[0].split()[:2]) for line in trace.splitlines() if "(" in line)
    most: dict[str, int] = {}
    for (_, *names), count in calls.items():
        for name in names:
            most[name] = max(most.get(name, 0), count)
    return [
        (name, nth)
        for name, count in sorted(most.items())
        for nth in range(1, count + 1)
        if name.isidentifier()
    ]


def traceable() -> str:
    """Return the calls that may change something outside the process, as strace takes them."""
    return ",".join(f"?{call}" for call in CALLS.split(","))
