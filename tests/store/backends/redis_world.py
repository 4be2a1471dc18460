"""What the tests on Redis share: a namespace a test, and how its keys are spelled."""

import itertools
import secrets
from urllib.parse import quote

__all__ = ("fresh", "key_of")

_count = itertools.count(1)


def fresh() -> str:
    """Return a namespace that no other test has, with characters that Redis would misread."""
    return f"test {next(_count)} {{}}%:{secrets.token_hex(4)}"


def key_of(namespace: str, kind: str) -> str:
    """Return a key as Holdfast names it, spelled out here so that a change of the layout is noticed."""
    return f"holdfast:{{{quote(namespace, safe='')}}}:{kind}"
