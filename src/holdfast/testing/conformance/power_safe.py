"""Power-safe: what was acknowledged is there, whole, after the power went, at whatever instant.

Two ways: every state that a file system may leave, made from a trace of system calls (`holdfast.testing.explorer`),
for stores that keep themselves in a folder; and real file systems whose disk is stopped dead (`…powercut`), under such
a store or under a server.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, NotShown, check
from holdfast.testing.conformance.script import Script, state_of
from holdfast.testing.conformance.served import at_port, server_of
from holdfast.testing.explorer import TraceAgain, Untraceable, explore, mark, marked, missing, trace
from holdfast.testing.explorer.operations import Trace
from holdfast.testing.own_adapter import store_of
from holdfast.testing.powercut import FILE_SYSTEMS, Cut, LoopDisk, NoDisk, cuts, on_disk, server_cuts
from holdfast.testing.powercut import missing as no_disk
from holdfast.testing.servers.process import ServerProcess

__all__ = ("commits", "endless", "folder_address", "recovered", "traced")

IGNORED: Final = ("*-shm",)
COMMITS: Final = 3
TRIES: Final = 3
MOST: Final = 3
"""States of one point, times the pace."""


@check(Level.POWER_SAFE, promise="whatever a power cut leaves of it, nothing acknowledged is lost and nothing torn",
       needs=("in-folder",))  # fmt: skip
def power_lost(case: Case) -> None:
    """Trace the first use of a folder, and recover every kind of state that a power cut may leave at each point."""
    if why := missing():
        raise NotShown(why)
    address = folder_address(case)
    found = explore(
        traced(case, commits, address), recovered(address, case.seed), most=case.much(MOST), seed=case.seed,
        until=lambda one: one.failed > 0,
    )  # fmt: skip
    case.tell(points=found.points, states=found.states)
    if found.shortest is not None:
        case.broken("; ".join(found.shortest.problems), found.shortest.history.splitlines())


@check(Level.POWER_SAFE, promise="on real ext4 and xfs whose power is cut, nothing acknowledged is lost or torn",
       needs=("in-folder",))  # fmt: skip
def power_cut(case: Case) -> None:
    """Cut the power of a loop-mounted disk under a writer, mount it again, look."""
    _need_disks()
    address = folder_address(case)
    look = recovered(address, case.seed)
    try:
        for file_system in FILE_SYSTEMS:
            with LoopDisk(file_system) as disk:
                _survived(
                    case,
                    file_system,
                    cuts(disk, endless, address, str(case.seed), check=look, chance=case.random),
                )
    except NoDisk as error:
        raise NotShown(str(error)) from error


@check(Level.POWER_SAFE, promise="where its server's power is cut on ext4 and xfs, nothing acknowledged is lost",
       needs=("elsewhere", "served"))  # fmt: skip
def server_power_cut(case: Case) -> None:
    """Put a server with the same settings on a loop-mounted disk, cut its power under a writer, start it, look."""
    server = server_of(case)
    _need_disks()
    try:
        for file_system in FILE_SYSTEMS:
            _server_cut(case, server, file_system)
    except (NoDisk, NotImplementedError) as error:
        raise NotShown(str(error)) from error


def _server_cut(case: Case, server: ServerProcess, file_system: str) -> None:
    with LoopDisk(file_system) as disk, on_disk(server.elsewhere(str(disk.mount)), disk) as moved:
        address = at_port(case, case.namespace(), moved.port)
        look = recovered(address, case.seed)
        cutting = server_cuts(
            disk, moved, endless, address, str(case.seed),
            check=lambda marks: look(disk.mount, marks), chance=case.random,
        )  # fmt: skip
        _survived(case, file_system, cutting)


def _need_disks() -> None:
    """Raise NotShown where a file system is missing whose power is to be cut."""
    for file_system in FILE_SYSTEMS:
        if why := no_disk(file_system):
            raise NotShown(why)


def _survived(case: Case, file_system: str, cutting: Iterator[Cut]) -> None:
    """Cut the power some times; fail where that breaks anything."""
    for cut in itertools.islice(cutting, case.much(2)):
        case.tell(cuts=1, commits=cut.acknowledged)
        if cut.problems:
            case.broken(f"on {file_system}: {'; '.join(cut.problems)}", cut.marks[-4:])


def folder_address(case: Case) -> str:
    """Return the address of a store in a `{folder}`; raises NotShown for one that keeps itself elsewhere."""
    assert case.subject.at_folder is not None
    address = case.subject.at_folder("{folder}")
    with tempfile.TemporaryDirectory(prefix="holdfast-power-") as folder:
        asyncio.run(_one_commit(address.replace("{folder}", folder), case.seed))
        found = [path for path in Path(folder).rglob("*") if path.is_file() and ".holdfast" not in path.parts]
        if not found:
            raise NotShown("it keeps nothing in the folder that it is given")
    return address


async def _one_commit(address: str, seed: int) -> None:
    changes, commit_id = Script(seed).commit(0)
    async with store_of(address) as store:
        await store.commit(changes, commit_id=commit_id)


def traced(case: Case, program: Callable[[str, str, str], None], address: str, *faults: str) -> Trace:
    """Return what a program (`commits`, say) does to a new folder; raises NotShown where that cannot be traced."""
    for left in range(TRIES, 0, -1):
        with tempfile.TemporaryDirectory(prefix="holdfast-power-") as place:
            folder = Path(place, "store")
            folder.mkdir()
            arguments = (str(folder), address, str(case.seed))
            try:
                return trace(program, *arguments, folder=folder, ignore=IGNORED, inject=faults)
            except Untraceable as error:
                if not isinstance(error, TraceAgain) or left == 1:
                    raise NotShown(f"what it does cannot be traced: {error}") from error
    raise AssertionError("the last try returns or raises")


def commits(folder: str, address: str, seed: str) -> None:
    """Make the first commits of a script: what is traced."""
    asyncio.run(_commits(address.replace("{folder}", folder), int(seed), COMMITS))


def endless(folder: str, address: str, seed: str) -> None:
    """Make one commit of a script after the other, from where the one before was cut off."""
    asyncio.run(_commits(address.replace("{folder}", folder), int(seed), 1 << 30))


async def _commits(address: str, seed: int, count: int) -> None:
    script = Script(seed)
    known = [int(line.split()[1]) for line in marked() if line.startswith("asked ")]
    async with store_of(address) as store:
        begin = 0
        if known:
            state = await state_of(store)
            begin = next((n for n in range(max(known), -1, -1) if script.after(n) == state), max(known))
        for number in range(begin + 1, begin + 1 + count):
            changes, commit_id = script.commit(number - 1)
            mark(f"asked {number}")
            await store.commit(changes, commit_id=commit_id)
            mark(f"done {number}")


def recovered(address: str, seed: int) -> Callable[[Path, Sequence[str]], Sequence[str]]:
    """Return the check of a folder: the state is after all commits that were told `done` or `found`, or one more."""

    def look(folder: Path, marks: Sequence[str]) -> Sequence[str]:
        told = [line.split() for line in marks]
        asked = max((int(number) for what, number in told if what == "asked"), default=0)
        done = max((int(number) for what, number in told if what != "asked"), default=0)
        return asyncio.run(_looked(address.replace("{folder}", str(folder)), Script(seed), done, asked))

    return look


async def _looked(address: str, script: Script, done: int, asked: int) -> list[str]:
    async with store_of(address) as store:
        state = await state_of(store)
    return [] if script.found(state, done, asked) is not None else [script.fault(state, done, asked)]
