"""What every backend behind a network shares: its driver, its time-outs, its password."""

import re
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Final

from msgspec import Struct

from holdfast.errors import InvalidOption, Unsupported
from holdfast.store.url import StoreUrl

__all__ = ("REPEAT", "TIMEOUTS", "Timeouts", "driver", "flag", "number", "timeouts")

TIMEOUTS: Final = ("connect_timeout", "read_timeout", "commit_timeout")
"""The options that `timeouts` reads, in seconds."""

REPEAT: Final = "; the commit may have happened: repeat it with its id"
"""How the message of an Unavailable ends that is `unknown`: advice to whoever commits, which a run follows itself."""


class Timeouts(Struct, frozen=True):
    """How long (s) a connection, a read and a commit may take; a commit that takes longer is *unknown*."""

    connect: float = 5.0
    read: float = 10.0
    commit: float = 10.0


def driver(module: str, *, extra: str) -> ModuleType:
    """Return a driver's module; raises Unsupported naming the extra where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        message = f"{package} is not installed: pip install 'holdfast[{extra}]'"
        raise Unsupported(message, extra=extra, package=package) from error


def timeouts(url: StoreUrl) -> Timeouts:
    """Return the time-outs of a URL; raises InvalidOption for what is no number of seconds above 0."""
    usual = Timeouts()
    values = (number(url, name, getattr(usual, name.partition("_")[0]), least=0.001) for name in TIMEOUTS)
    return Timeouts(*values)


def number(url: StoreUrl, name: str, otherwise: float, *, least: float = 0.0) -> float:
    """Return an option that is a number of at least `least`; raises InvalidOption."""
    text = url.options.get(name)
    if text is None:
        return otherwise
    plain = re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text)
    if plain is None or float(text) < least:
        message = f"{name}={text!r} in {url.text!r}: give a number of at least {least:g}"
        raise InvalidOption(message, option=name, value=text)
    return float(text)


def flag(url: StoreUrl, name: str, *, otherwise: bool = False) -> bool:
    """Return an option that is 1, true, yes, 0, false or no; raises InvalidOption."""
    text = url.options.get(name)
    if text is None:
        return otherwise
    known: Mapping[str, bool] = {
        "1": True,
        "true": True,
        "yes": True,
        "0": False,
        "false": False,
        "no": False,
    }
    if text.lower() not in known:
        message = f"{name}={text!r} in {url.text!r}: give one of {', '.join(known)}"
        raise InvalidOption(message, option=name, value=text)
    return known[text.lower()]
