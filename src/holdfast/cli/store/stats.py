"""`holdfast store stats`: how much there is, and what the store declares as found."""

import asyncio

from msgspec import to_builtins
from rich.filesize import decimal
from rich.table import Table

from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl
from holdfast.cli.output import Output
from holdfast.cli.store.progress import Bar
from holdfast.cli.store.reading import reader
from holdfast.store import Store
from holdfast.store.tools import Stats, count
from holdfast.store.tools.contents import Tell

__all__ = ("stats",)


def stats(store: StoreUrl = DEFAULT_STORE, *, namespace: Namespace = None, json: Json = False) -> int:
    """Count what is in a store, by name, and say what it declares: durability as found, atomicity, warnings.

    Bytes are those of the values as JSON, before whatever the store makes of them.

    Example: `holdfast store stats postgresql://bot@db/trading`
    """
    output = Output(json=json)
    with Bar(output) as bar:
        found = asyncio.run(_counted(reader(store, namespace, looking=True), bar.tell))
    for one in found.counts:
        output.record("count", to_builtins(one))
    if not found.counts:
        output.note(f"nothing is stored in namespace {found.namespace!r} of {found.url}")
    output.say(_table(found))
    output.say(
        f"{found.url}, namespace {found.namespace}: {found.head:,} commits. Survives {found.durability}; atomic at "
        f"each {found.atomicity}; {'several processes' if found.shared else 'one process'} at a time"
    )
    for warning in found.warnings:
        output.note(warning)
    facts = to_builtins(found)
    del facts["counts"]
    output.record("summary", {**facts, "records": _sum(found, "entities"), "events": _sum(found, "stream")})
    return 0


async def _counted(store: Store, tell: Tell) -> Stats:
    async with store:
        return await count(store, tell=tell)


def _sum(found: Stats, kind: str) -> int:
    return sum(one.count for one in found.counts if one.kind == kind)


def _table(found: Stats) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("", style="dim")
    table.add_column("count", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("last commit", style="dim")
    for one in found.counts:
        table.add_row(one.name, one.kind, f"{one.count:,}", decimal(one.bytes), one.version)
    return table
