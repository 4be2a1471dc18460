"""The processes of a trace: which descriptor is which open file, through dup, fork, exec and threads."""

import copy

from holdfast.testing.explorer.strace import FORKING, Call, TraceAgain

__all__ = ("Descriptor", "Process", "Processes")


class Descriptor:
    """An open file or folder of the traced folder: shared by all descriptors that are copies of one another."""

    __slots__ = ("append", "node", "offset", "sync")

    def __init__(self, node: int, *, append: bool = False, sync: str = "") -> None:
        self.node = node
        self.offset = 0
        self.append = append
        self.sync = sync


class Process:
    """What the threads of a process share: `open` descriptors, which close at exec, the working directory."""

    def __init__(self, cwd: str) -> None:
        self.open: dict[int, Descriptor] = {}
        self._since: dict[int, int] = {}
        self.closing: set[int] = set()
        self.cwd = cwd

    def set(self, fd: int, descriptor: Descriptor | None, *, closing: bool, at: int) -> None:
        """Have a descriptor mean that open file since call `at`; None: something that does not matter here."""
        self.open.pop(fd, None)
        self.closing.discard(fd)
        self._since[fd] = at
        if descriptor is not None:
            self.open[fd] = descriptor
        if closing:
            self.closing.add(fd)

    def close(self, first: int, last: int, began: int) -> None:
        """Close all descriptors from `first` to `last` that were open when so many calls had returned.

        Their numbers are free before the close returns: another thread may have one again by then.
        """
        for fd in [fd for fd in self.open if first <= fd <= last and self._since[fd] < began]:
            del self.open[fd]

    def forked(self) -> "Process":
        """Return the child that has copies of all."""
        child = copy.copy(self)
        child.open, child.closing, child._since = dict(self.open), set(self.closing), dict(self._since)
        return child

    def executed(self) -> None:
        """Close what closes at exec."""
        for fd in self.closing:
            self.open.pop(fd, None)
        self.closing.clear()


class Processes:
    """All threads seen so far."""

    def __init__(self, cwd: str) -> None:
        self._of: dict[int, Process] = {}
        self._first = Process(cwd)

    def of(self, thread: int) -> Process:
        """Return the process of a thread; raises TraceAgain for one that nobody made."""
        if not self._of:
            self._of[thread] = self._first
        if thread not in self._of:
            raise TraceAgain(f"whose child process {thread} is cannot be told")
        return self._of[thread]

    def see(self, call: Call) -> None:
        """Follow a fork or exec that did not fail."""
        process = self.of(call.thread)
        if call.name in FORKING:
            shared = any("CLONE_FILES" in arg for arg in call.args)
            self._of[int(call.result.split()[0])] = process if shared else process.forked()
        else:
            self._of[call.thread] = alone = process.forked()
            alone.executed()
