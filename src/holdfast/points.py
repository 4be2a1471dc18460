"""Named crash points: places where a test may stop the world.

`points.reached("journal.flushed")` does nothing. The crash harness (`holdfast.testing.crash`) replaces
`reached` by a function that counts, or kills the process. Call it through the module, so that the
replacement is seen. `POINTS` is what the harness iterates over: a point that is not listed is an error there.
"""

__all__ = ("reached",)


def reached(point: str) -> None:
    """Do nothing: a named instant between two steps, for tests to kill the process at."""
