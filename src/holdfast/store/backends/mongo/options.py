"""What a MongoDB URL may say: the driver's options that are passed on, and why others are refused.

Nothing passes that would weaken a promise (`w=1`, `readPreference=secondary`) or a connection (`tlsInsecure`), and
nothing that has a name of ours (`connectTimeoutMS`). What repeats a promise (`w=majority`) is accepted.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from holdfast.errors import InvalidOption
from holdfast.store.backends.network import TIMEOUTS, flag, timeouts
from holdfast.store.credentials import PASSWORD, password, secret
from holdfast.store.url import StoreUrl

__all__ = ("TEST_SERVER", "check", "client_options", "database_name", "host")

TEST_SERVER: Final = "test_server"

OURS: Final = (*TIMEOUTS, *PASSWORD, "tls_key_password_env", "tls_key_password_file", TEST_SERVER)

PASSED_ON: Final = (
    "appName", "authMechanism", "authMechanismProperties", "authSource", "compressors", "directConnection",
    "heartbeatFrequencyMS", "loadBalanced", "maxIdleTimeMS", "maxPoolSize", "replicaSet", "srvMaxHosts",
    "srvServiceName", "tls", "tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile", "zlibCompressionLevel",
)  # fmt: skip
"""The driver's options that are passed on as they are."""

REPEATED: Final[Mapping[str, tuple[str, ...]]] = {
    "w": ("majority",),
    "j": ("true",),
    "journal": ("true",),
    "readPreference": ("primary",),
    "readConcernLevel": ("majority", "snapshot"),
    "retryReads": ("true",),
    "retryWrites": ("true", "false"),  # transactions do not use it
    "ssl": ("true",),
}
"""The driver's options that may only say what holds anyway; every other value would weaken a promise."""

REFUSED: Final[Mapping[str, str]] = {
    "connectTimeoutMS": "use connect_timeout (seconds)",
    "serverSelectionTimeoutMS": "use connect_timeout (seconds)",
    "socketTimeoutMS": "use read_timeout and commit_timeout (seconds)",
    "timeoutMS": "use read_timeout and commit_timeout (seconds)",
    "waitQueueTimeoutMS": "use read_timeout and commit_timeout (seconds)",
    "wTimeoutMS": "use commit_timeout (seconds)",
    "tlsInsecure": "the server would not be told from another one; name its authority with tlsCAFile",
    "tlsAllowInvalidCertificates": "the server would not be told from another one; name its authority with tlsCAFile",
    "tlsAllowInvalidHostnames": "the server would not be told from another one; connect by the certificate's name",
    "tlsCertificateKeyFilePassword": "a secret has no place in a URL; use tls_key_password_env or _file",
}
"""The driver's options that are refused, each with what to do instead."""


def check(url: StoreUrl) -> None:
    """Return if all options of `url` make sense; raises InvalidOption that says why one does not."""
    for given, value in url.options.items():
        name = _spelled(given)
        if name in REFUSED:
            raise InvalidOption(f"{given} in {url.text!r}: {REFUSED[name]}", option=given, value=value)
        if name in REPEATED and value.lower() not in REPEATED[name]:
            raise _weakens(url, given, value, REPEATED[name])
    url.only(
        *OURS, *PASSED_ON, *(given for given in url.options if _spelled(given) in (*PASSED_ON, *REPEATED))
    )
    timeouts(url)
    flag(url, TEST_SERVER)
    database_name(url)
    if not url.hosts and not host(url):
        raise InvalidOption(f"{url.text!r} names no host", url=url.text)


def client_options(url: StoreUrl) -> dict[str, Any]:
    """Return the driver's options for `url`: credentials read now, time-outs, and what is passed on."""
    limits = timeouts(url)
    found: dict[str, Any] = {
        "appname": "holdfast",
        "connectTimeoutMS": int(limits.connect * 1000),
        "serverSelectionTimeoutMS": int(limits.connect * 1000),
        "retryWrites": False,
    }
    given = {_spelled(name): value for name, value in url.options.items()}
    found |= {name: _typed(value) for name, value in given.items() if name in PASSED_ON}
    if given.get("ssl"):
        found["tls"] = True
    key_password = secret(url.options, "tls_key_password")
    if key_password is not None:
        found["tlsCertificateKeyFilePassword"] = key_password
    return found | _who(url)


def host(url: StoreUrl) -> str:
    """Return the hosts as the driver wants them: no user, no password, no options."""
    return urlsplit(url.raw).netloc.rpartition("@")[2]


def database_name(url: StoreUrl) -> str:
    """Return the database of a URL, `holdfast` where it names none; raises InvalidOption."""
    name = url.path.strip("/") or "holdfast"
    if any(char in '/\\. "$*<>:|?\0' for char in name) or len(name.encode()) > 63:
        raise InvalidOption(f"{name!r} in {url.text!r} cannot name a MongoDB database", value=name)
    if name in ("admin", "local", "config"):
        raise InvalidOption(
            f"{name!r} in {url.text!r} is the server's own database; name another", value=name
        )
    return name


def _who(url: StoreUrl) -> dict[str, Any]:
    if url.username is None:
        return {}
    found: dict[str, Any] = {"username": url.username}
    word = password(url)
    if word is not None:
        found["password"] = word
    if not any(_spelled(name) == "authSource" for name in url.options) and _is_scram(url):
        found["authSource"] = "admin" if not url.path.strip("/") else database_name(url)
    return found


def _is_scram(url: StoreUrl) -> bool:
    mechanisms = [value for name, value in url.options.items() if _spelled(name) == "authMechanism"]
    return url.scheme == "mongodb" and all(value.startswith("SCRAM") for value in mechanisms)


def _spelled(given: str) -> str:
    """Return a driver's option as it is written in its documentation: the driver takes any case."""
    known = (*PASSED_ON, *REPEATED, *REFUSED)
    return next((name for name in known if name.lower() == given.lower()), given)


def _typed(value: str) -> str | int | bool:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return int(value) if value.isascii() and value.isdigit() else value


def _weakens(url: StoreUrl, given: str, value: str, allowed: tuple[str, ...]) -> InvalidOption:
    message = (
        f"{given}={value} in {url.text!r} would weaken what is promised; leave it out (always: {allowed[0]})"
    )
    return InvalidOption(message, option=given, value=value)
