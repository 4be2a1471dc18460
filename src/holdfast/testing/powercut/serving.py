"""Power cuts of a server's disk: clients commit, the power goes, the server starts again on what is left.

    with LoopDisk("ext4") as disk, on_disk(RedisServer(folder=str(disk.mount)), disk) as server:
        for cut in islice(server_cuts(disk, server, program, url, check=check, chance=chance), 20): ...

The clients are a process that lives elsewhere; `check` is called without a folder, and asks the server.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.store.backends.file.disk import Disk
from holdfast.testing.explorer.checking import problems
from holdfast.testing.powercut.cutting import DONE, Cut, command_of, until_cut
from holdfast.testing.powercut.disk import LoopDisk
from holdfast.testing.servers.process import NotStarted, ServerProcess

__all__ = ("on_disk", "server_cuts")


@contextmanager
def on_disk(server: ServerProcess, disk: LoopDisk) -> Iterator[ServerProcess]:
    """Start a server whose folder is on a disk, and yield it with all that it has made durable."""
    try:
        server.start()
        Disk().flush_all(str(disk.mount))
        yield server
    finally:
        server.stop()


def server_cuts(
    disk: LoopDisk,
    server: ServerProcess,
    program: Callable[..., object],
    *arguments: str,
    check: Callable[[Sequence[str]], Sequence[str]],
    chance: random.Random,
    longest: float = 0.3,
) -> Iterator[Cut]:
    """Yield cut after cut: run `program`, which must not end, cut the power of the server's disk, and check it.

    It is called with "" for a folder and `arguments`, in a process of its own, anew after each cut. A server that does
    not start again is a problem, and ends it. Raises Failed.
    """
    known: list[str] = []
    command = command_of(program, "", *arguments)
    with tempfile.TemporaryDirectory(prefix="holdfast-marks-") as aside:
        marks = Path(aside) / "marks"
        while True:
            marks.write_text("".join(f"{line}\n" for line in known))
            told = until_cut(disk, command, marks, chance, longest)
            wrong = _restarted(disk, server) or problems(lambda _, lines: check(lines), Path(aside), told)
            fresh = [line for line in told[len(known) :] if line.startswith(DONE)]
            known = told
            yield Cut(len(fresh), tuple(wrong), tuple(told))
            if not server.running:
                return


def _restarted(disk: LoopDisk, server: ServerProcess) -> tuple[str, ...]:
    """Switch the disk and its server on again; return what is wrong where that cannot be done."""
    server.kill()
    disk.restart()
    try:
        server.start()
    except (NotStarted, HoldfastError) as error:
        return (f"the server does not start again: {error}"[:2000],)
    return ()
