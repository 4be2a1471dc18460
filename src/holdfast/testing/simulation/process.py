"""A process on a machine: everything a bot owns. Killed, it does nothing any more, not even in its `finally`."""

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from holdfast.system import Process
from holdfast.testing.simulation.carrying import stand
from holdfast.testing.simulation.disk import SimulatedDisk
from holdfast.testing.simulation.files import Folder
from holdfast.testing.simulation.loop import SimulatedLoop
from holdfast.testing.simulation.threads import SimulatedThreads
from holdfast.testing.simulation.world import Deed, Gone, World

__all__ = ("EPOCH", "Machine", "SimulatedProcess")

T = TypeVar("T")

EPOCH: Final = 1_760_000_000_000
"""Wall time (ms) when a world begins."""
TORN: Final = 0.3
"""At how many of its calls a job stands."""
GROWING: Final = frozenset({"extend", "create", "make_folder"})


class Machine:
    """A host: its disk, its wall clock (`wrong` by so many ms), and which of its processes are alive.

    `full` says that its disk has no room left, `bad_flushes` how many flushes are still to fail; `rows` are what a
    user's own adapter keeps, and `bad_rows` how many writes of them are still to lose their answer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = Folder()
        self.wrong = 0
        self.full = False
        self.bad_flushes = 0
        self.bad_rows = 0
        self.rows: dict[tuple[str, str], bytes] = {}
        self.boots = 1
        self.asleep = 0.0
        self.alive: dict[int, SimulatedProcess] = {}
        self._pid = 100

    def new_pid(self) -> int:
        """Return the id of the next process."""
        self._pid += 1
        return self._pid


class SimulatedProcess:
    """A process: its event loop, and a clock, ids, threads and a disk to hand to a desk and its store.

    `passing` is told of each call to the disk ("disk") and each request that has left ("ask submit").
    """

    def __init__(
        self, world: World, machine: Machine, name: str, *, slow: float = 1.0, torn: bool = False
    ) -> None:
        self.world = world
        self.machine = machine
        self.name = name
        self.dead = False
        self.paused = False
        self.passing: Callable[[str], None] = lambda point: None
        self.pid = machine.new_pid()
        self.started = int(world.now * 1000)
        self.boot = f"{machine.name}/{machine.boots}"
        self._late: list[Deed] = []
        chance = world.chance(name)
        self._random, self._slow = chance, slow
        self.loop = SimulatedLoop(world, self, self._while)
        self.threads = SimulatedThreads(self.loop, self._while, torn=torn)
        self.disk = ProcessDisk(self)
        machine.alive[self.pid] = self

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin what the process does."""
        self.world.tell(self.name, "starts")
        return self.loop.start(work)

    def perform(self, deed: Deed) -> None:
        """Let a deed happen now; one of a paused process waits, and one of a dead process never happens."""
        if self.dead:
            return
        if self.paused:
            self._late.append(deed)
            return
        if deed.cancelled():
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        self.world.running = self
        try:
            deed._run()
        except Gone:
            pass
        finally:
            self.world.running = None
            asyncio._set_running_loop(before)

    def kill(self) -> None:
        """End it, between two instructions: what it has open is closed by the kernel, and nothing else happens."""
        if not self.dead:
            self.world.tell(self.name, "is killed")
            self.end()

    def end(self) -> None:
        """Take it off the machine."""
        self.dead = self.loop.closed = True
        self.disk.let_go()
        del self.machine.alive[self.pid]
        self.threads.end()

    def pause(self) -> None:
        """Stop it, as SIGSTOP does."""
        self.paused = True

    def go_on(self) -> None:
        """Let it go on: what was due meanwhile happens now."""
        self.paused = False
        late, self._late = self._late, []
        for deed in late:
            self.world.soon(self, deed)

    def check(self) -> None:
        """Raise Gone in a process that was killed."""
        if self.dead:
            raise Gone

    # What it hands to a desk and its store.

    def now(self) -> int:
        """Return its machine's wall time (ms)."""
        return EPOCH + int(self.world.now * 1000) + self.machine.wrong

    def monotonic(self) -> float:
        """Return seconds that only grow, and that stand still while the machine is suspended."""
        return self.world.now - self.machine.asleep

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        self.check()
        await asyncio.sleep(seconds)

    async def pass_by(self, point: str) -> None:
        """Take a while for something that is no call to the disk, and may be the process's end."""
        self.check()
        await asyncio.sleep(self._while())
        self.passing(point)
        self.check()

    def ids(self) -> str:
        """Return 32 hexadecimal digits that nobody else has drawn."""
        self.check()
        return f"{self._random.getrandbits(128):032x}"

    def this(self) -> Process:
        """Return itself, as others can know it."""
        return Process(
            host=self.machine.name, boot=self.boot, space="all", pid=self.pid, started=self.started
        )

    def is_dead(self, process: Process) -> bool:
        """Whether a process of this machine has ended; False for those of other machines."""
        if process.boot.partition("/")[0] != self.machine.name:
            return False
        return process.boot != self.boot or process.pid not in self.machine.alive

    def stands(self) -> None:
        """Let the others go on, now and then, where this is a job on a thread; raises Gone if that was its end."""
        if self._random.random() < TORN:
            stand()
        self.check()

    def _while(self) -> float:
        """How long some small thing takes (s): mostly short, now and then not."""
        rare = self._random.random()
        return self._slow * (0.0001 + 0.001 * rare if rare < 0.97 else 0.05 * self._random.random())


class ProcessDisk(SimulatedDisk):
    """A machine's disk as one of its processes has it."""

    def __init__(self, process: SimulatedProcess) -> None:
        super().__init__(process.machine.root)
        self._process = process

    def process(self) -> tuple[int, str]:
        """Return the process's id and its machine's name."""
        return self._process.pid, self._process.machine.name

    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def close(self, fd: int) -> None:
        """Close an open file; the kernel has closed those of a process that was killed."""
        if not self._process.dead or fd in self._open:
            super().close(fd)

    def _call(self, call: str, path: str) -> Any:
        self._process.check()
        self._process.stands()  # and nothing is locked meanwhile
        self._meets(call, path)
        return self._mutex

    def _meets(self, call: str, path: str) -> None:
        """Meet what the machine has in store for a call."""
        process, machine = self._process, self._process.machine
        process.check()
        process.world.tell(process.name, f"{call} {path}")
        process.passing("disk")
        if machine.full and call in GROWING:
            process.world.counts["calls without room"] += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if machine.bad_flushes and call == "flush":
            machine.bad_flushes -= 1
            process.world.counts["failed flushes"] += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
