"""Stores by URL: what each spelling means, and what is refused with which advice."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InvalidKey, InvalidOption, Unsupported
from holdfast.store import Key, Put, open_store, url
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.backends.file.store import FileStore
from holdfast.store.backends.memory import MemoryStore


@pytest.mark.parametrize(
    ("text", "base_dir"),
    [
        ("file:./logs/data", "./logs/data"),
        ("file:logs/data", "logs/data"),
        ("file:/var/bot", "/var/bot"),
        ("file:///var/bot", "/var/bot"),
        ("file://localhost/var/bot", "/var/bot"),
        ("file:/with%20space/%C3%A9%23", "/with space/é#"),
        ("file:", "./logs/data"),
    ],
)
def test_file(text: str, base_dir: str) -> None:
    store = open_store(text)
    assert isinstance(store, FileStore)
    assert store.base_dir == base_dir
    assert store.namespace == "default"


def test_memory_and_namespace() -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    for store in (open_store("memory:?namespace=a%2Fb"), open_store("memory:", namespace="a/b")):
        assert store.namespace == "a/b"
    assert open_store("memory:?namespace=a", namespace="a").namespace == "a"
    assert isinstance(open_store("file:x?mode=ro&namespace=y"), FileReader)
    assert isinstance(open_store("file:x?mode=rw"), FileStore)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./logs/data", "write file:./logs/data"),
        ("/logs", "write file:/logs"),
        ("", "no scheme"),
        ("C:/data", "no scheme"),
        ("memory:?color=red", "known: namespace"),
        ("file:x?color=red", "known: mode, namespace"),
        ("file:x?mode=wo", "known: ro, rw"),
        ("file://elsewhere/x", "names a host"),
        ("file:x#y", "fragment"),
        ("file:x?mode", "name=value"),
        ("file:x?mode=ro&mode=ro", "twice"),
        ("memory://host:port", "port"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidOption, match=words.replace("?", r"\?")):
        open_store(text)


def test_contradiction_and_bad_namespace() -> None:
    with pytest.raises(InvalidOption):
        open_store("memory:?namespace=a", namespace="b")
    with pytest.raises(InvalidKey):
        open_store("memory:", namespace="")


def test_unknown_scheme() -> None:
    with pytest.raises(Unsupported) as refused:
        open_store("carrier-pigeon:x".replace("-", ""))
    assert {"file", "memory"} <= set(refused.value.known)


def test_password_is_not_shown() -> None:
    parsed = url.parse("redis://me:secr%40t@host:6379/0")
    assert (parsed.username, parsed.password, parsed.host, parsed.port) == ("me", "secr@t", "host", 6379)
    assert "secr" not in repr(parsed) + parsed.text
    with pytest.raises(Unsupported) as refused:
        open_store("unheardof://me:secr%40t@host")
    assert "secr" not in str(refused.value)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def register(*names: str) -> None:
        points = [EntryPoint(name, f"{__name__}:third_party", url.GROUP) for name in names]
        monkeypatch.setattr(url, "entry_points", lambda group: points if group == url.GROUP else [])
        monkeypatch.setattr(EntryPoint, "load", lambda self: third_party)

    return register


def third_party(parsed: url.StoreUrl, **world: Any) -> MemoryStore:
    assert set(world) == {"clock", "ids"}
    parsed.only("flavour")
    return MemoryStore(namespace=parsed.namespace)


def test_third_party(install: Callable[..., None]) -> None:
    install("mine")
    assert open_store("mine://host/x?flavour=sour&namespace=n").namespace == "n"
    with pytest.raises(InvalidOption):
        open_store("mine://host/x?colour=red")
    with pytest.raises(Unsupported, match="file, memory, mine"):
        open_store("yours:")


@pytest.mark.parametrize("names", [("mine", "mine"), ("file",)])
def test_clash(install: Callable[..., None], names: tuple[str, ...]) -> None:
    install(*names)
    with pytest.raises(InvalidOption, match="claimed twice"):
        open_store(f"{names[0]}:x")


async def test_relative_path_is_of_the_moment_of_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store("file:./logs/data") as store:
        monkeypatch.chdir("/")
        await store.commit([Put(Key("a", "b"), 1)])
    assert (tmp_path / "logs" / "data" / "a" / "b.json").exists()


@pytest.mark.parametrize(
    "text", ["file:/srv/%FF", "mongodb://h/%ED%A0%80", "redis://u%C3:p@h", "file:/srv/\udcff"]
)
def test_what_is_not_utf8_names_no_other_place(text: str) -> None:
    with pytest.raises(InvalidOption, match="not UTF-8"):
        url.parse(text)
