"""A history in words: when each client asked, what it asked, and what it was told."""

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.testing.linear.history import Operation, Token

__all__ = ("told",)


def told(history: Iterable[Operation]) -> str:
    """Return a history for people, a line an operation, times in milliseconds since its first."""
    ordered = sorted(history, key=lambda one: one.start)
    zero = ordered[0].start if ordered else 0.0
    return "\n".join(_line(one, zero) for one in ordered)


def _line(one: Operation, zero: float) -> str:
    ended = "  never" if one.end is None else f"{(one.end - zero) * 1000:7.2f}"
    return f"{(one.start - zero) * 1000:8.2f} to {ended} ms  {one.client:<8} {_asked(one)}: {_answer(one)}"


def _asked(one: Operation) -> str:
    if not one.puts and not one.expects:
        return f"get {', '.join(one.saw)}"
    parts = [_put(key, token, one.expects) for key, token in one.puts.items()]
    parts += [f"check {key} is {_held(held)}" for key, held in one.expects.items() if key not in one.puts]
    return f"commit {one.id + ' ' if one.id else ''}{', '.join(parts)}"


def _put(key: str, token: Token, expects: Mapping[str, Token]) -> str:
    did = f"delete {key}" if token is None else f"put {key} = {token}"
    return f"{did} expecting {_held(expects[key])}" if key in expects else did


def _answer(one: Operation) -> str:
    if one.end is None:
        return "unknown"
    if one.found is not None:
        return f"refused, {one.found[0]} is {_held(one.found[1])}"
    if one.saw:
        return ", ".join(_held(held) for held in one.saw.values())
    return "done"


def _held(token: Any) -> str:
    return "absent" if token is None else str(token)
