"""What the arguments of a call mean: numbers, descriptors, paths."""

import os
import re
from typing import Final

from holdfast.testing.explorer.processes import Descriptor, Process
from holdfast.testing.explorer.strace import Call, unhex
from holdfast.testing.explorer.view import View

__all__ = ("Arguments",)

_ANNOTATED: Final = re.compile(r"^[\w-]+<(.*)>")


class Arguments:
    """The arguments of one call of a process. Paths are relative to the traced folder; None is outside of it."""

    def __init__(self, call: Call, process: Process, view: View) -> None:
        self._call = call
        self._process = process
        self._view = view

    def text(self, index: int) -> str:
        """Return an argument as strace spells it."""
        return self._call.args[index]

    def number(self, index: int) -> int:
        """Return a number, or that of a descriptor."""
        return int(self.text(index).partition("<")[0], 0)

    @property
    def result(self) -> int:
        """What the call returned."""
        return int(self._call.result.partition("<")[0].split()[0], 0)

    def descriptor(self, index: int) -> Descriptor | None:
        """Return the open file of a descriptor; None for one that does not matter."""
        return self._process.open.get(self.number(index))

    def spelled(self, at: bool, index: int = 0) -> tuple[str | None, str]:
        """Return the folder (None: the working directory) and the path that a call has, an `...at` call as two."""
        return (self.text(index), self.text(index + 1)) if at else (None, self.text(index))

    def absolute(self, folder: str | None, path: str) -> str:
        """Return a spelled path from the root on."""
        base = self._process.cwd if folder is None else _annotation(folder) or self._process.cwd
        return os.path.join(base, os.fsdecode(unhex(path)))

    def path(self, at: bool, index: int = 0) -> str | None:
        """Return the path that a call has there."""
        return self._view.inside(self.absolute(*self.spelled(at, index)))

    def folder(self) -> str:
        """Return the absolute path that is the first argument, as a string or a descriptor."""
        return _annotation(self.text(0)) or self.absolute(None, self.text(0))

    def mentions(self, arg: str) -> bool:
        """Whether an argument is in the traced folder, or is it."""
        annotated = _annotation(arg)
        if annotated is None:
            return arg.startswith('"') and self._view.inside(self.absolute(None, arg)) is not None
        return self._view.inside(annotated) is not None


def _annotation(arg: str) -> str | None:
    """Return the path that strace adds to a descriptor."""
    found = _ANNOTATED.match(arg)
    return None if found is None else os.fsdecode(unhex(found[1]))
