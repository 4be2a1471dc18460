"""A store opened for reading: nothing is created, nothing is locked, and a bot may go on using it."""

from pathlib import Path

from holdfast.errors import StoreMissing
from holdfast.store import Store, open_store
from holdfast.store.url import parse

__all__ = ("folder_of", "reader")


def reader(url: str, namespace: str | None) -> Store:
    """Return the store of a URL, not yet open; files are opened `?mode=ro`."""
    asked = parse(url, namespace=namespace)
    if asked.scheme == "file" and "mode" not in asked.options:
        url += "&mode=ro" if "?" in url else "?mode=ro"
    return open_store(url, namespace=namespace)


def folder_of(url: str, namespace: str | None) -> Path | None:
    """Return the folder of a file store, None for any other; raises StoreMissing where it is not there."""
    asked = parse(url, namespace=namespace)
    if asked.scheme != "file":
        return None
    folder = Path(asked.path)
    if not folder.is_dir():
        raise StoreMissing(
            f"there is no store at {folder}; name another one with --store file:PATH", path=str(folder)
        )
    return folder
