"""TARGET: what is to be examined, named by a word: a URL, a `module:Class`, or a kind that brings its own server.

sqlite:///state.db   redis://localhost/0   my_backend:PersistMine   my_backend.py:store   redis   postgres
"""

import inspect
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from holdfast.errors import HoldfastError, InvalidOption, InvalidTarget, Unsupported
from holdfast.store.url import BACKENDS, GROUP
from holdfast.testing.conformance.four_methods import subject_of
from holdfast.testing.conformance.subject import Subject, named
from holdfast.testing.own_adapter import ADAPTER
from holdfast.testing.servers.park import KINDS, Park

__all__ = ("KNOWN", "at")

KNOWN: Final = ("memory", *KINDS)
"""Kinds that need no place of the user's: what they store is made for the occasion and removed."""

METHODS: Final = ("wait_for_init", "read_value", "has_value", "write_value")


@contextmanager
def at(target: str, *, name: str = "") -> Iterator[Subject]:
    """Yield the subject that a word means; what was made for it is gone afterwards. Raises InvalidOption."""
    with ExitStack() as stack:
        if target in KNOWN:
            subject = _of_kind(target, stack)
        elif _is_url(target):
            subject = Subject.of_url(target, run=f"conform-{secrets.token_hex(4)}")
        else:
            subject = _of_name(target, stack)
        stack.callback(subject.tidy)
        subject.name = name or subject.name
        yield subject


def _of_kind(kind: str, stack: ExitStack) -> Subject:
    if kind == "memory":
        return Subject.of_url("memory:")
    known = KINDS[kind]
    park = stack.enter_context(Park())
    if not known.server:
        return (
            Subject.of_url(park.url(kind), name=kind) if kind != "adapter" else Subject.of_url(park.url(kind))
        )
    server = park.server(kind)
    return Subject.of_url(
        server.url,
        server=server,
        preload=known.drivers,
        real=known.shows_durability,
        name=f"{kind} of its own",
    )


def _is_url(target: str) -> bool:
    scheme, colon, rest = target.partition(":")
    known = {*BACKENDS, ADAPTER.rstrip(":"), *(point.name for point in entry_points(group=GROUP))}
    return bool(colon) and (rest.startswith("//") or scheme in known)


def _of_name(target: str, stack: ExitStack) -> Subject:
    place, colon, attribute = target.partition(":")
    if not colon:
        message = (
            f"{target!r} is no URL and no module:Class; kinds that bring their own server: {', '.join(KNOWN)}"
        )
        raise InvalidOption(message, target=target)
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise InvalidOption(f"there is no file {place}", target=target)
        sys.path.insert(0, str(path.resolve().parent))
        place = path.stem
    elif str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    word = f"{place}:{attribute}"
    return _subject(word, named(word), stack)


def _subject(word: str, found: Any, stack: ExitStack) -> Subject:
    if isinstance(found, Subject):
        return found
    if isinstance(found, type) and all(hasattr(found, method) for method in METHODS):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-conform-"))
        return subject_of(word, base_dir=folder)
    if not callable(found):
        raise InvalidOption(f"{word} is no class, callable or Subject", target=word)
    needed = [one for one in inspect.signature(found).parameters.values() if one.default is one.empty]
    if not needed and isinstance(made := _made(word, found), Subject):
        return made
    if "namespace" not in inspect.signature(found).parameters:
        raise Unsupported(f"{word} takes no argument `namespace`: it is to return a Store of that namespace")
    return Subject.of_call(word)


def _made(word: str, found: Any) -> Any:
    try:
        return found()
    except HoldfastError:
        raise
    except Exception as error:
        raise InvalidTarget(f"{word} raised {type(error).__name__}: {error}", target=word) from error
