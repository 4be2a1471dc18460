"""`holdfast store copy`: a portfolio from one store to another, and with `--move` for good."""

import asyncio
import time
from typing import Annotated

from cyclopts import Parameter
from msgspec import to_builtins

from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.progress import Bar
from holdfast.cli.store.reading import reader, says_namespace, writer
from holdfast.store import Store
from holdfast.store.tools import Copied
from holdfast.store.tools import copy as copying

__all__ = ("Place", "copy", "facts_of", "told")

Place = Annotated[str, Parameter(help="A store's URL, or a file.py or module:desk whose desk has one.")]


def copy(
    source: Annotated[str, Parameter("FROM", help="The store to copy from: a URL, file.py or module:desk.")],
    target: Annotated[
        str,
        Parameter(
            "TO",
            help="The store to copy to: an empty one, this copy begun before, or where FROM was moved from.",
        ),
    ],
    /,
    *,
    move: Annotated[bool, flag("Make TO the portfolio: FROM refuses to be traded on from then on.")] = False,
    dry_run: Annotated[bool, flag("Check everything that can be checked, and write nothing.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Copy a portfolio from one store to another, then read both and compare every value and every event.

    Killed at any instant, the same command goes on where it was. Without --move, TO becomes a copy: `holdfast live`
    refuses it, and the same command later brings it up to date. A copy is as of one instant: beside a bot that commits
    all the time it fails, and goes on once that does less. With --move, stop the bot first (SIGTERM); then TO is the
    portfolio, and `holdfast live` refuses FROM. So no two bots trade on two of them by mistake. The namespace of TO is
    that of FROM unless TO's URL says another; the ids of open orders depend on it.

    Exit codes: 0 done and equal, 1 failed on the way (run it again), 2 refused, or a store is in use.

    Example: `holdfast store copy file:./logs/data postgresql://bot@db/trading --move`
    """
    output = Output(json=json)
    one = writer(source, namespace) if move and not dry_run else reader(source, namespace)
    theirs = None if says_namespace(target) else one.namespace
    other = reader_or_new(target, theirs) if dry_run else writer(target, theirs)
    since = time.monotonic()
    with Bar(output) as bar:
        done = asyncio.run(copying(one, other, move=move, dry_run=dry_run, tell=bar.tell))
    facts = facts_of(done, other, time.monotonic() - since)
    output.record("summary", {"from": one.url, "to": other.url, "moved": move and not dry_run, **facts})
    output.say(_sentence(done, one, other, move=move, dry_run=dry_run))
    return 0


def reader_or_new(asked: str, namespace: str | None) -> Store:
    """Return a store for a dry run to look at; where there is none it says so when it is opened."""
    from holdfast.errors import StoreMissing
    from holdfast.store.backends.memory import MemoryStore

    try:
        return reader(asked, namespace)
    except StoreMissing:
        return MemoryStore(namespace=namespace or "default")


def facts_of(done: Copied, target: Store, seconds: float) -> dict[str, object]:
    """Return what a copy came to, for a summary."""
    return {**to_builtins(done), "namespace": target.namespace, "seconds": round(seconds, 3)}


def told(done: Copied) -> str:
    """Return what a copy came to, for people."""
    return f"{done.records:,} records and {done.events:,} events, compared and equal ({done.written:,} written now)"


def _sentence(done: Copied, source: Store, target: Store, *, move: bool, dry_run: bool) -> str:
    if dry_run and not done.already:
        return (
            f"{done.records:,} records and {done.events:,} events would be copied from {source.url} to {target.url}; "
            "nothing was written"
        )
    if done.already:
        return (
            f"{source.url} had moved already to {target.url}, which holds {done.records:,} records and {done.events:,} "
            "events now; it may have been traded on since, and nothing was compared or written"
        )
    if done.mark:
        return f"{target.url} is a copy of {source.url}: {told(done)}. Nobody trades on it before a --move"
    return f"{source.url} has moved to {target.url}: {told(done)}. Start the bot there; the old place refuses"
