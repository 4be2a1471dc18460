"""What is fuzzed: a function that feeds bytes to something that reads, and what it found where a promise was broken."""

import hashlib
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from msgspec import Struct

from holdfast.errors import InvalidOption

__all__ = ("Crash", "PromiseBroken", "Target", "crash_of", "require", "target_of")

HERE: Final = Path(__file__).parents[2]

Function = Callable[[bytes], None]


class PromiseBroken(AssertionError):
    """What was read is not what was written, or damage was taken for nothing being there."""


class Target(Struct, frozen=True):
    """A function `(data: bytes) -> None` by name: it returns where all was as documented, and raises otherwise."""

    name: str
    run: Function

    @property
    def promise(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


class Crash(Struct, frozen=True):
    """An input that broke a promise: `kind` is the same for inputs that most probably show the same defect."""

    data: bytes
    kind: str
    story: str

    @property
    def name(self) -> str:
        """A short name for the kind, for a file."""
        return hashlib.sha256(self.kind.encode()).hexdigest()[:12]


def require(kept: bool, broken: str) -> None:
    """Return where a promise is kept; raises PromiseBroken, which says what was broken."""
    if not kept:
        raise PromiseBroken(broken)


def target_of(name: str) -> Target:
    """Return the target of that name, or of anybody's function, written as package.module:function."""
    from holdfast.testing.fuzzing.targets import TARGETS

    path = TARGETS.get(name, name)
    module, colon, function = path.partition(":")
    if not colon:
        raise InvalidOption(
            f"there is no target {name!r}; there are: {', '.join(TARGETS)}", known=(*TARGETS,)
        )
    return Target(name, getattr(import_module(module), function))


def crash_of(target: Target, data: bytes) -> Crash | None:
    """Feed a target; return what was wrong, None where everything was as it should be."""
    try:
        target.run(data)
    except Exception as error:  # whatever it is, it is a finding
        return Crash(data, _plain(_kind(error)), _plain("".join(traceback.format_exception(error))))
    return None


def _plain(text: str) -> str:
    """Return text that can be written anywhere: what broke may have a lone surrogate in its message."""
    return text.encode(errors="backslashreplace").decode()


def _kind(error: Exception) -> str:
    """Return the type and the innermost line of Holdfast's own that it came by."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{frame.filename}:{frame.name}" for frame in frames if Path(frame.filename).is_relative_to(HERE)]
    place = ours[-1].removeprefix(f"{HERE}/") if ours else "?"
    said = str(error).partition(":")[0][:80] if isinstance(error, PromiseBroken) else ""
    return f"{type(error).__name__} in {place} {said}".strip()
