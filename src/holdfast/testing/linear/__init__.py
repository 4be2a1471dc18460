"""Whether what several clients were told can be explained by one order of whole steps: linearizability.

    wrong = failing(history)          # None: there is such an order
    if wrong:
        print(told(wrong))            # the shortest part of the history that has none

A history is what each client asked and was told, and when, on one monotonic clock (that of one machine, in however
many processes). A commit is one operation whatever number of keys it changes, and so is a read of several keys.
A commit whose outcome is unknown may have happened at any time after it was asked for, or never.

The cost grows with how much happens at once: meant for up to `MOST_CLIENTS` clients, `MOST_OPERATIONS` operations on
keys that hang together, and a few unknown outcomes. Where the search gives up it raises `Undecided`.
"""

from holdfast.testing.linear.history import Operation, Token
from holdfast.testing.linear.searching import MOST_CLIENTS, MOST_OPERATIONS, Undecided, linearizable
from holdfast.testing.linear.shrinking import failing
from holdfast.testing.linear.telling import told

__all__ = (
    "MOST_CLIENTS",
    "MOST_OPERATIONS",
    "Operation",
    "Token",
    "Undecided",
    "failing",
    "linearizable",
    "told",
)
