"""What a program does to one folder, as it is followed: what is open, what there is, and what is refused."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from holdfast.testing.explorer.arguments import Arguments
from holdfast.testing.explorer.operations import FailedFlush, Name, Operation, Trace, Tree
from holdfast.testing.explorer.processes import Descriptor, Process, Processes
from holdfast.testing.explorer.strace import FORKING, Call, Untraceable
from holdfast.testing.explorer.view import View, tree_of

__all__ = ("MARKS", "Follower")

MARKS: Final = -1
"""The node of the file that marks are written to."""
_FOREIGN: Final = {
    "openat2", "sendfile", "copy_file_range", "splice", "vmsplice", "symlink", "symlinkat", "mknod", "mknodat",
    "setxattr", "lsetxattr", "fsetxattr", "chroot", "mount", "execveat",
}  # fmt: skip
_NEVER: Final = {"io_uring_setup", "io_submit"}
_HARMLESS: Final = {"EINTR", "EAGAIN", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EBADF"}
_EFFECTS: Final = {
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fallocate",
}
_FLUSHING: Final = {"fsync", "fdatasync", "syncfs", "sync"}


class Follower(ABC):
    """Follows the calls of one run, one by one; `marks` is the file that marks are written to."""

    def __init__(self, root: Path, start: Tree, *, marks: Path, cwd: str, ignore: Sequence[str] = ()) -> None:
        self._root = root
        self._ignore = ignore
        self.view = View(root, start, ignore)
        self._start = start
        self._marks = str(marks)
        self._processes = Processes(cwd)
        self._operations: list[Operation] = []
        self._after = [0]  # how many operations there were when so many calls had returned
        self._flushes: Counter[tuple[int, str]] = Counter()
        self._call = Call(0, "", (), "", 0)
        self._process = Process(cwd)
        self._given = Arguments(self._call, self._process, self.view)

    def read(self, calls: Iterable[Call]) -> None:
        """Take all calls of a run; raises Untraceable for one that is not understood."""
        try:
            for call in calls:
                self._take(call)
        except (
            LookupError,
            ValueError,
        ) as error:  # a number, an argument or a quote where strace writes none
            raise self._refuse(f"not as strace writes it ({error!r}), after") from error

    def _take(self, call: Call) -> None:
        self._call, self._process = call, self._processes.of(call.thread)
        self._given = Arguments(call, self._process, self.view)
        self._flushes[call.thread, call.name] += call.name in _FLUSHING
        if call.failed:
            self._failed()
        elif call.name in FORKING or call.name == "execve":
            self._processes.see(call)
        elif call.name in _FOREIGN or call.name in _NEVER:
            self._refuse_where_it_matters()
        else:
            self._handle(call.name)
        self._after.append(len(self._operations))

    @abstractmethod
    def _handle(self, name: str) -> None:
        """Note what a call that succeeded did to the folder."""

    def check(self) -> None:
        """Return if the folder is now as it was followed; raises Untraceable where it is not."""
        self.view.check(tree_of(self._root, self._ignore))

    def trace(self, before: Sequence[str], error: str) -> Trace:
        """Return what was read."""
        operations, folders = tuple(self._operations), frozenset(self.view.folders)
        return Trace(self._start, tuple(before), operations, folders, error)

    # What is refused.

    def _refuse(self, why: str) -> Untraceable:
        call = f"{self._call.name}({', '.join(arg[:80] for arg in self._call.args)})"
        return Untraceable(f"{why}: {call}", call=self._call.name)

    def _refuse_where_it_matters(self) -> None:
        places = self._call.args[1:] if self._call.name.startswith("symlink") else self._call.args
        here = [arg for arg in places if self._given.mentions(arg)]
        if here or self._call.name in _NEVER:
            raise self._refuse("this is not known to the model")

    def _failed(self) -> None:
        """Note a flush that failed, and refuse a failed write: how much of it was done is not told."""
        code = self._call.result.split()[1]
        if code in _HARMLESS:
            return
        descriptor = self._given.descriptor(0) if self._call.name in _EFFECTS | _FLUSHING else None
        if descriptor is None or (self._call.name in _FLUSHING and descriptor.node == MARKS):
            return
        if self._call.name in _EFFECTS:
            raise self._refuse(f"it failed with {code}, and that is not modelled")
        file = None if self._call.name == "syncfs" else descriptor.node
        text = f"{self._call.name} {self.view.path(descriptor.node)} failed with {code}"
        self._do(FailedFlush(text, file, self._after[self._call.began]))

    def _file(self, index: int) -> Descriptor | None:
        """Return the open file of a descriptor, unless it is a folder or that of the marks."""
        found = self._given.descriptor(index)
        return None if found is None or found.node in self.view.folders or found.node == MARKS else found

    # What happens.

    def _do(self, operation: Operation) -> None:
        self._operations.append(operation)
        if isinstance(operation, Name):
            for entry in operation.entries:
                self.view.name(entry)

    @property
    def _nth(self) -> int:
        return self._flushes[self._call.thread, self._call.name]
