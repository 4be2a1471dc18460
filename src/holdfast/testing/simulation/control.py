"""A negative control: a design with one idea changed, and which runs can show it.

It is applied to this process while a run is inside, and taken back.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from msgspec import Struct

from holdfast.testing.controls import _BROKER
from holdfast.testing.simulation.plan import Plan

__all__ = ("Control", "kills")

Patch = Callable[[], None]


class Control(Struct, frozen=True):
    """A broken design: what it changes of whose attributes, which plans can show it, and by which promise."""

    owners: tuple[tuple[Any, str], ...]
    patch: Patch
    shows: Callable[[Plan], bool]
    promise: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the design broken while inside."""
        with ExitStack() as stack:
            for owner, name in self.owners:
                stack.callback(setattr, owner, name, getattr(owner, name))
            self.patch()
            yield
        _BROKER.clear()


def kills(plan: Plan) -> bool:
    """Whether somebody is killed in a run."""
    return any(trouble.what in ("kill", "power") for trouble in plan.troubles)
