"""What a nursery is asked and what it answers: a life to be lived, when to cut it short, and how it ended."""

from typing import Any, Final, Literal

from msgspec import Struct

__all__ = ("LIMIT", "Answer", "Kill", "Life", "Request")

LIMIT: Final = 240.0
"""Seconds that a life may last: one that goes on longer hangs, on however slow a machine."""


class Kill(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a child is killed: by itself as it reaches `point` for the `nth` time, or from outside `after` seconds.

    `point` "" is any point. Of several, the first that comes true counts.
    """

    point: str = ""
    nth: int = 0
    after: float = 0.0


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A life to be lived: `function` ("module:name") is called with `arguments`, for `limit` seconds at most.

    The answer to it is `Answer` of the same `number`.
    """

    number: int = 0
    function: str
    arguments: dict[str, Any]
    kills: tuple[Kill, ...] = ()
    patches: tuple[str, ...] = ()
    limit: float = LIMIT


class Life(Struct, frozen=True, kw_only=True):
    """How a child ended, what it answered, and the points that it reached, in order."""

    ended: Literal["returned", "raised", "killed", "hung"]
    answer: Any = None
    error: str = ""
    message: str = ""
    reached: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def died_at(self) -> str:
        """The last point that a killed child reached; "" where it reached none."""
        return self.reached[-1] if self.ended == "killed" and self.reached else ""


class Answer(Struct, frozen=True):
    """What became of the request of that number."""

    number: int
    life: Life
