"""Stores to be cut off: deterministic workloads, and checks of what must be there afterwards.

One life of a store is traced by `holdfast.testing.explorer`, or cut off by `holdfast.testing.powercut`; the check is
the same. A store of your own: `Target(make, ...)`, named `module:name` on the command line.
"""

from holdfast.testing.targets.checking import check_of
from holdfast.testing.targets.living import FIRST, Life, Plan, live, plan_of, recovery_of
from holdfast.testing.targets.stores import TARGETS, Target, target

__all__ = (
    "FIRST",
    "TARGETS",
    "Life",
    "Plan",
    "Target",
    "check_of",
    "live",
    "plan_of",
    "recovery_of",
    "target",
)
