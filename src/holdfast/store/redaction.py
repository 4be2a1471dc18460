"""A URL as it may be shown: without its passwords, also where it is misspelt and the password is in an odd place.

A password that holds `@ : / ? #` and is not percent-encoded takes a URL apart in the wrong places. Then more is
hidden rather than less: what is shown is for people, and nothing connects with it.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

__all__ = ("HIDDEN", "is_secret", "shown")

HIDDEN: Final = "***"

PATHS: Final = ("file", "memory", "sqlite")
"""Schemes whose URLs are paths: an @ in one is a letter of a name."""

PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.%]*\]|[^:\[\]@,]*)(:[0-9]*)?")
SECRET: Final = re.compile(r"passw|passphrase|pwd|secret|token|credential|authmechanismproperties")
SECRETS: Final = ("auth", "key", "apikey", "api_key", "access_key", "encrypt_key", "pass")


def is_secret(option: str) -> bool:
    """Whether an option of that name would hold a secret itself, and not only say where one is."""
    name = option.casefold()
    points = name.endswith(("_env", "_file"))
    return not points and (name in SECRETS or SECRET.search(name) is not None)


def shown(url: str) -> str:
    """Return a URL without its passwords, of one that is taken apart wrongly the scheme alone; never raises."""
    scheme, colon, rest = url.partition(":")
    slashes = "//" if rest.startswith("//") else ""
    is_path = scheme in PATHS and not slashes
    front, mark, query = rest[len(slashes) :].partition("?")
    pairs = query.split("&") if mark else []
    if _is_odd(front, pairs, is_path=is_path):
        return f"{scheme}{colon}{slashes}{HIDDEN}"
    front = front if is_path else _front(front)
    return f"{scheme}{colon}{slashes}{front}{mark}{'&'.join(map(_pair, pairs))}"


def _is_odd(front: str, pairs: Sequence[str], *, is_path: bool) -> bool:
    """Whether the end of a password may have come to stand where none is expected."""
    if any("#" in part for part in (front, *pairs)):
        return not is_path or any("@" in part for part in pairs)
    if any("@" in unquote(pair) and not pair.startswith(("namespace=", "replica")) for pair in pairs):
        return True
    return not is_path and "@" not in front and not _is_place(front.partition("/")[0])


def _is_place(hosts: str) -> bool:
    return all(PLACE.fullmatch(one) for one in hosts.split(","))


def _front(front: str) -> str:
    """Return hosts and path without credentials: what is before the last @."""
    credentials, at, place = front.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{user}:{HIDDEN}@{place}" if at and colon else front


def _pair(pair: str) -> str:
    """Return an option as it may be shown: a URL, a replica's, without its password, and no secret."""
    name, equals, value = pair.partition("=")
    if name == "namespace":
        return pair
    if is_secret(unquote(name)):
        return f"{name}={HIDDEN}"
    plain = unquote(value)
    inner = shown(plain) if ":" in plain else plain
    return pair if inner == plain else f"{name}{equals}{quote(inner, safe='')}"
