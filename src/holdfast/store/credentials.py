"""Secrets that a URL only points at: read from the environment or a file each time they are needed.

So that a token which is renewed under way is found at the next connection, and no secret is in a URL, a log or
a repr.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import InvalidOption
from holdfast.store.url import StoreUrl

__all__ = ("PASSWORD", "password", "secret")

PASSWORD = ("password_env", "password_file")
"""The options that `password` reads."""


def password(url: StoreUrl) -> str | None:
    """Return the password (or token) of a URL: its own, or what `password_env` or `password_file` names.

    Raises InvalidOption where both are given, or what is named is not there.
    """
    pointed = secret(url.options, "password")
    if pointed is not None and url.password is not None:
        raise InvalidOption(f"{url.text!r} has a password and names another one: leave one of them out")
    return url.password if pointed is None else pointed


def secret(options: Mapping[str, str], name: str) -> str | None:
    """Return what the option `{name}_env` or `{name}_file` points at, None where neither is given."""
    variable, path = options.get(f"{name}_env"), options.get(f"{name}_file")
    if variable is not None and path is not None:
        raise InvalidOption(f"{name}_env and {name}_file are both given: leave one of them out")
    if variable is not None:
        return _from_environment(name, variable)
    return None if path is None else _from_file(name, path)


def _from_environment(name: str, variable: str) -> str:
    found = os.environ.get(variable)
    if not found:
        raise InvalidOption(
            f"{name}_env={variable}: there is no such variable in the environment, or it is empty"
        )
    return found


def _from_file(name: str, path: str) -> str:
    try:
        found = Path(path).read_text(encoding="utf-8").rstrip("\r\n")  # an editor's; blanks may be its own
    except OSError as error:
        raise InvalidOption(f"{name}_file={path}: cannot be read ({error})") from error
    except UnicodeDecodeError:  # which holds the bytes
        raise InvalidOption(f"{name}_file={path}: is not UTF-8") from None
    if not found:
        raise InvalidOption(f"{name}_file={path}: is empty")
    return found
