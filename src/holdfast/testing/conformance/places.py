"""Where an examination makes its files: beside what a URL names, its replicas' too, or in a folder of its own."""

import glob
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from holdfast.errors import InvalidOption
from holdfast.store.url import parse

__all__ = ("absent", "apart", "in_folder", "tidy")

FOLDERS: Final = {"file": "file:{}/made/data", "sqlite": "sqlite:///{}/made/state.db"}


def apart(url: str, run: str) -> tuple[str, tuple[str, ...]]:
    """Return a URL of the `run`'s own places beside those of a URL, and these places; servers stay what they are."""
    bare, places = _beside(url, run)
    options = []
    for name, text in _options(url):
        if (name, text) == ("mode", "ro"):
            raise InvalidOption("mode=ro only reads: leave it out")
        if _is_replica(name):
            if "namespace=" in text:
                raise InvalidOption(
                    f"leave the namespace of {name} out: each that is used here needs one of its own"
                )
            moved, more = _beside(text, f"{run}-{name}", query=True)
            places += more
        options.append((name, moved if _is_replica(name) else text))
    return _url(bare, options), places


def absent(places: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that have to be made for places, the innermost first."""
    above = {folder for place in places for folder in Path(place).parents if not folder.exists()}
    return tuple(sorted(map(str, above), key=len, reverse=True))


def tidy(places: Iterable[str], folders: Iterable[str]) -> None:
    """Remove what was made at places, and the folders that are empty then."""
    for found in (
        found for place in places for found in Path(place).parent.glob(f"{glob.escape(Path(place).name)}*")
    ):
        if found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)
    for folder in folders:
        with suppress(OSError):  # somebody else uses it
            Path(folder).rmdir()


def in_folder(url: str) -> Callable[[str], str] | None:
    """Return what gives a store of the same scheme and options, without its replicas, in a folder; None for servers."""
    scheme = url.partition(":")[0]
    if scheme not in FOLDERS:
        return None
    options = [(name, text) for name, text in _options(url) if not _is_replica(name)]
    return lambda folder: _url(FOLDERS[scheme].format(folder), options)


def _beside(url: str, run: str, *, query: bool = False) -> tuple[str, tuple[str, ...]]:
    scheme, (path, mark, options) = url.partition(":")[0], url.partition("?")
    if scheme == "file":
        path = f"file:{parse(path).path or './logs/data'}/{run}"
        place = path.removeprefix("file:")
    elif scheme == "sqlite":
        path = f"{path}.{run}"
        place = parse(path).path.removeprefix("/" if path.startswith("sqlite://") else "")
    else:
        return url if query else path, ()
    return f"{path}{mark}{options}" if query else path, (place,)


def _options(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.partition("?")[2], keep_blank_values=True)


def _url(bare: str, options: list[tuple[str, str]]) -> str:
    return f"{bare}?{urlencode(options, quote_via=quote)}" if options else bare


def _is_replica(option: str) -> bool:
    return option == "replica" or option.startswith("replica_")
