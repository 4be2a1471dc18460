"""The crash-state explorer: trace what a program does to a folder, then try every state a power cut could leave.

    from holdfast.testing.explorer import explore, mark, trace

    def program(folder):                      # runs in a process of its own, under strace
        mark("asked 1"); put(folder, "k", 1); mark("acknowledged 1")

    def check(folder, marks):                 # recovers each state, returns the promises that are broken
        return [] if "acknowledged 1" not in marks or get(folder, "k") == 1 else ["1 was lost"]

    found = explore(trace(program, str(folder), folder=folder), check)
    print(found)                              # points, states, failures, and the shortest failing history

At every point, whatever was not flushed may be there, be missing, or be there in part, in any combination that the
file system allows: see `STRICT` and `ORDERED`. Needs strace, and the right to trace (`missing()` says why not).

It is blind to what is written through memory (mmap) and io_uring: a program that maps a file of the folder for
shared writing, or uses io_uring, is refused (Untraceable), and so is every call that is not modelled; at the end the
folder must be what the calls explain. SQLite's `-shm` is mapped: it is rebuilt by whoever opens the database first, so
`ignore=("*-shm",)` leaves it out. Of calls that fail, flushes are modelled, and `trace(…, inject=[…])` has some fail:
what they were to cover is lost then, though a later flush succeeds and the bytes can be read back. Links by name,
modes, owners and times are not modelled, nor other failing calls, nor sectors that go bad. A call counts from when it
returned; a kill that cuts one off may leave open whether it was done (TraceAgain: then trace once more). At a point
with very many states a seeded sample is tried.
"""

from holdfast.testing.explorer.checking import Check, forked
from holdfast.testing.explorer.enumerating import states
from holdfast.testing.explorer.exploring import Exploration, Failure, explore
from holdfast.testing.explorer.marks import mark, marked
from holdfast.testing.explorer.models import MODELS, ORDERED, STRICT, Model
from holdfast.testing.explorer.moments import State
from holdfast.testing.explorer.operations import Trace
from holdfast.testing.explorer.strace import TraceAgain, Untraceable, missing
from holdfast.testing.explorer.tracing import trace

__all__ = (
    "MODELS", "ORDERED", "STRICT", "Check", "Exploration", "Failure", "Model", "State", "Trace", "TraceAgain",
    "Untraceable", "explore", "forked", "mark", "marked", "missing", "states", "trace",
)  # fmt: skip
