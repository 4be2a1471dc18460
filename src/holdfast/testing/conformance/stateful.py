"""Concurrent: any sequence of commits, reopenings, crashes and a second writer; the store is always its model."""

import traceback

from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Broken, Level, NotShown, check

__all__ = ()


@check(Level.CONCURRENT, promise="whatever is done in whatever order, crashes and a second writer included, is done",
       needs=("hypothesis",))  # fmt: skip
def stateful(case: Case) -> None:
    """Let Hypothesis look for a short sequence after which the store is not what a dict and a list are."""
    from holdfast.testing.conformance.machine import explore

    try:
        steps = explore(case)
    except (Broken, NotShown):
        raise
    except Exception as error:
        notes = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error) or f"{type(error).__name__} (line {where.lineno} of {where.filename})"
        shown = [line for line in notes if "is_its_model()" not in line]  # the comparison after each step
        case.broken(said.splitlines()[0], shown[:40] or None)
    case.tell(steps=steps)
