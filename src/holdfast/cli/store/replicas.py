"""`holdfast store replicas`: who follows a store, how far each is, and what stands in the way."""

import asyncio
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from rich.table import Table

from holdfast.cli import codes
from holdfast.cli.options import Json, Namespace
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place
from holdfast.cli.store.reading import bare, bare_reader, reader, replica_urls
from holdfast.cli.store.upkeep import standing_of
from holdfast.errors import StoreError, StoreMissing, Unavailable
from holdfast.store import Store, open_store
from holdfast.store.wrappers.replicated import Seen, Status, look, status
from holdfast.store.wrappers.replicated.records import Aside, Fenced, Primary, Replica, lost

__all__ = ("replicas",)


class Found(Struct, kw_only=True):
    """What a namespace is in a replication, and the replicas that are known of or named."""

    url: str
    namespace: str
    standing: Status
    replicas: list[Seen]


def replicas(store: Place, /, *, namespace: Namespace = None, json: Json = False) -> int:
    """Show who follows a store, how far each replica is behind, and why one cannot follow.

    Nothing is followed, locked or changed, also while a bot runs. Replicas that the URL names (?replica=) are asked
    themselves; of others there is what the primary knows. A replica's own URL shows what that one is.

    Exit codes: 0 all is well (what is behind catches up while a run has ?replica=), 1 something needs a person.

    Example: `holdfast store replicas 'postgresql://bot@db/trading?replica=redis%3A%2F%2Fspare%2F0'`
    """
    output = Output(json=json)
    try:
        found = asyncio.run(_found(store, namespace))
    except Unavailable:
        for url, theirs in replica_urls(store, namespace):  # now it counts how far each of them is
            output.note(asyncio.run(_alone(url, theirs)))
        raise
    for one in found.replicas:
        output.record("replica", to_builtins(one))
    if found.replicas:
        output.say(_table(found.replicas))
    for one in found.replicas:
        if one.error is not None:
            output.note(f"{one.url}: {one.error}")
    output.say(_sentence(found))
    if found.standing.loss is not None:
        output.note(lost(found.standing.loss))
    output.record("summary", _facts(found))
    wrong = any(one.error is not None for one in found.replicas)
    ours = isinstance(found.standing.role, Primary | Replica | None)
    return codes.FOUND if wrong or not ours or found.standing.loss is not None else codes.DONE


async def _found(asked: str, namespace: str | None) -> Found:
    primary = bare_reader(asked, namespace)
    async with primary:
        standing = await status(primary)
        seen = [await _seen(primary, *one) for one in replica_urls(asked, namespace)]
        there = {(one.url, one.namespace) for one in seen}
        for member in standing.members.values():
            if (member.url, member.namespace) not in there:
                seen.append(await look(primary, None, url=member.url, namespace=member.namespace))
        standing = await status(
            primary
        )  # a replica that was asked is never ahead of what is told of its primary
    return Found(
        url=bare(asked, namespace).url, namespace=primary.namespace, standing=standing, replicas=seen
    )


async def _seen(primary: Store, asked: str, namespace: str | None) -> Seen:
    place = open_store(asked, namespace=namespace)  # as whoever follows calls it
    known = await look(primary, None, url=place.url, namespace=place.namespace)
    try:
        return await look(primary, reader(asked, namespace), url=place.url, namespace=place.namespace)
    except StoreMissing as error:
        return replace(known, state="new") if known.name is None else replace(known, error=str(error))


async def _alone(asked: str, namespace: str | None) -> str:
    """Return what a replica says of itself, for its primary says nothing."""
    place = bare(asked, namespace)
    try:
        standing = await standing_of(bare_reader(asked, namespace))
    except StoreError as error:
        return str(error)
    return _sentence(Found(url=place.url, namespace=place.namespace, standing=standing, replicas=[]))


def _facts(found: Found) -> dict[str, Any]:
    facts = to_builtins(found.standing)
    del facts["members"]
    role = facts.pop("role")
    return {"url": found.url, "namespace": found.namespace, **(role or {"role": None}), **facts}


def _sentence(found: Found) -> str:
    here, standing = f"{found.url}, namespace {found.namespace}", found.standing
    match standing.role:
        case None:
            return f"{here}: not replicated. A run with ?replica=URL begins it"
        case Primary(epoch=epoch):
            return (
                f"{here}: the primary (epoch {epoch}), {standing.commits:,} commits, of which {standing.owed:,} are "
                "kept for replicas"
            )
        case Replica() as role:
            return (
                f"{here}: a replica ({role.state}), at commit {role.number:,} of its primary, of {role.known:,} that "
                "it knows of. `holdfast store promote` makes it the primary"
            )
        case Fenced() as role:
            return f"{here}: no primary any more; {role.url} (namespace {role.namespace}) was promoted: trade there"
        case Aside() as role:
            return f"{here}: set aside, and {role.url} (namespace {role.namespace}) took its place: {role.reason}"


def _table(found: list[Seen]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("replica", no_wrap=True)
    table.add_column("", style="dim")
    table.add_column("commit", justify="right")
    table.add_column("behind", justify="right")
    table.add_column("for", justify="right")
    table.add_column("name", style="dim", no_wrap=True)
    for one in found:
        behind = None if one.seconds is None else f"{one.seconds:.0f} s"
        table.add_row(
            one.url,
            _state(one),
            _number(one.number),
            _number(one.behind),
            behind or "?",
            one.name or "",
        )
    return table


def _state(one: Seen) -> str:
    if one.state == "unknown":
        return "not asked" if one.error is None else "not reached"
    return one.state if one.error is None or one.state in ("promoted", "aside") else "does not follow"


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
