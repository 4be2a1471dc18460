"""A clean, preloaded process that forks others: each lives for one function call, and may be armed to kill itself.

    python -m holdfast.testing.nursery [MODULE…]    requests on stdin, answers on stdout, one JSON document a line

Children live side by side; each is answered for when it ends. They are killed when stdin closes.

A fork of a process with one thread and everything imported costs milliseconds; starting Python costs a second.
`holdfast.testing.crash` talks to it.
"""

from holdfast.testing.nursery.arming import armed, known_points
from holdfast.testing.nursery.requests import LIMIT, Answer, Kill, Life, Request
from holdfast.testing.nursery.serving import PRELOADED, main

__all__ = ("LIMIT", "PRELOADED", "Answer", "Kill", "Life", "Request", "armed", "known_points", "main")
