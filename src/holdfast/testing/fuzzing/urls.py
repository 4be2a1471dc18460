"""Store URLs: taken apart, shown without their passwords, and turned into stores that are not opened."""

from typing import Final
from urllib.parse import quote, unquote

from holdfast.errors import InvalidKey, InvalidOption, Unsupported
from holdfast.store.redaction import shown
from holdfast.store.url import parse, store_of
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.target import require

__all__ = ("password", "url")

HIDDEN: Final = "s3cr3tpassw0rdXYZ"
PLACES: Final = (
    "redis://user:PASSWORD@host/0", "postgresql://u:PASSWORD@h:5432/db", "mongodb://u:PASSWORD@a,b/?replica=redis://x",
    "rediss+sentinel://:PASSWORD@a:1,b:2/main/0", "file:./x?replica=redis%3A%2F%2Fu%3APASSWORD%40h",
)  # fmt: skip
URLS: Final = (
    "file:./logs/data?namespace=blue", "memory:", "sqlite:///state.db?busy_timeout=3", "redis://user:pw@host:6380/2",
    "rediss+sentinel://a:1,b:2/main/0?cache=1000&cache_max_age=3", "postgresql://user@[::1]:5432/db?sslmode=require",
    "mongodb+srv://host/db?replica=file%3A./copy", "unix:///run/redis.sock?db=1", "redis+cluster://a,b/",
    "file:./x?encrypt_key_env=NOT_THERE&observe=1", "postgresql://h/d?pool=3&commit_timeout=0.5&connect_timeout=nan",
    "redis://h/0?wait_replicas=1&wait_aof=0&mode=ro", "mongodb://a:1,b:2/db?replicaSet=r&authSource=admin",
)  # fmt: skip


def url(data: bytes) -> None:
    """A URL is a store's, or InvalidOption, InvalidKey or Unsupported."""
    dice = Dice(data)
    given = damaged(dice, dice.pick(URLS).encode()).decode("utf-8", errors="surrogateescape")
    try:
        found = parse(given)
        require(parse(given) == found, "another: the same URL")
        store_of(found)
    except (InvalidOption, InvalidKey, Unsupported):
        return


def password(data: bytes) -> None:
    """No error, no text and no repr of a URL shows its password, however it is misspelt around it."""
    dice = Dice(data)
    secret = (
        HIDDEN if not dice.chance(3) else damaged(dice, b"@").decode("utf-8", errors="replace")[:20] + HIDDEN
    )
    secret = secret if dice.chance(2) else quote(secret, safe="")
    given = dice.pick(PLACES).replace("PASSWORD", secret) + ("?cache=1" if dice.chance(2) else "")
    for text in _shown(given):
        require(HIDDEN not in text and HIDDEN not in unquote(text), f"shown: the password, in {text!r}")


def _shown(given: str) -> list[str]:
    """Return all that anybody might see of a URL."""
    seen = [shown(given)]
    try:
        found = parse(given)
        store = store_of(found)
        seen += [found.text, repr(found), repr(store), store.url]
    except (InvalidOption, InvalidKey, Unsupported) as error:
        seen += [str(error), repr(error.facts)]
    return seen
