"""`holdfast store ls`: the names in a store, and how much there is of each."""

import asyncio
import os
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from rich.filesize import decimal
from rich.table import Table

from holdfast.cli import codes
from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl
from holdfast.cli.output import Output
from holdfast.cli.store.reading import folder_of, reader
from holdfast.errors import Corrupt
from holdfast.store import Store

__all__ = ("ls",)


class Found(Struct, kw_only=True):
    """What there is of a name; `trouble` says why not all of it could be read."""

    name: str
    count: int = 0
    trouble: str = ""


class Contents(Struct, kw_only=True):
    """What a namespace holds."""

    entities: list[Found]
    streams: list[Found]
    head: int


def ls(store: StoreUrl = DEFAULT_STORE, *, namespace: Namespace = None, json: Json = False) -> int:
    """List the entity names and streams of a store, with how many entities and events there are of each.

    Exit code 1 says that something in it cannot be read; `holdfast store verify` says more.

    Example: `holdfast store ls file:./logs/data`
    """
    output = Output(json=json)
    folder = folder_of(store, namespace)
    opened = reader(store, namespace, looking=True)
    found = asyncio.run(_contents(opened))
    size = None if folder is None else _size(folder)
    for kind, names in (("entity", found.entities), ("stream", found.streams)):
        for one in names:
            output.record(kind, to_builtins(one))
    if not (found.entities or found.streams):
        output.note(f"nothing is stored in namespace {opened.namespace!r} of {opened.url}")
    output.say(_table(found))
    output.say(f"{found.head:,} commits" + ("" if size is None else f", {decimal(size)} in {folder}"))
    trouble = [one for one in found.entities if one.trouble]
    for one in trouble:
        output.note(f"{one.name}: {one.trouble}")
    facts: dict[str, Any] = {"store": opened.url, "head": found.head, "bytes": size, "trouble": len(trouble)}
    output.record("summary", facts)
    return codes.FOUND if trouble else codes.DONE


async def _contents(store: Store) -> Contents:
    async with store:
        names = await store.names()
        entities = [await _counted(store, name) for name in names.entities]
        streams = [Found(name=name, count=await store.last_number(name)) for name in names.streams]
        return Contents(entities=entities, streams=streams, head=store.head)


async def _counted(store: Store, name: str) -> Found:
    found = Found(name=name)
    try:
        async for _ in store.scan(name):
            found.count += 1
    except Corrupt as error:
        found.trouble = str(error)
    return found


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder that another process may be changing."""
    total = 0
    for where, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(where, file)).st_size
            except FileNotFoundError:  # dropped meanwhile
                continue
    return total


def _table(found: Contents) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("", style="dim")
    table.add_column("count", justify="right")
    for kind, names in (("entities", found.entities), ("stream", found.streams)):
        for one in names:
            table.add_row(one.name, kind, f"{one.count:,}{'+?' if one.trouble else ''}")
    return table
