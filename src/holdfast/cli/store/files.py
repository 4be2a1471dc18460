"""`holdfast store export` and `import`: a portfolio as one checksummed file."""

import asyncio
import time
from typing import Annotated

from cyclopts import Parameter
from msgspec import to_builtins
from rich.filesize import decimal

from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place, facts_of, told
from holdfast.cli.store.progress import Bar
from holdfast.cli.store.reading import reader, says_namespace, writer
from holdfast.store.tools import export as exporting
from holdfast.store.tools import import_file
from holdfast.store.tools.importing import PortableFile

__all__ = ("export", "import_")


def export(
    store: Place,
    file: Annotated[str, Parameter(help="A new file; with a name that ends in .gz it is compressed.")],
    /,
    *,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Write a portfolio to a file, as it was at one instant, also while a bot uses it; then compare it.

    The file is JSON lines that end in a SHA-256, and has its name only once it is whole and on the disk. It holds all
    of your state in plain text, and only you may read it (0600).

    Example: `holdfast store export redis://localhost/0 portfolio.jsonl.gz`
    """
    output = Output(json=json)
    with Bar(output) as bar:
        done = asyncio.run(exporting(reader(store, namespace, looking=True), file, tell=bar.tell))
    output.record("summary", {"file": file, **to_builtins(done)})
    output.say(
        f"{file}: {done.records:,} records and {done.events:,} events, {decimal(done.bytes)}, compared and equal"
    )
    return 0


def import_(
    file: Annotated[str, Parameter(help="A file that `holdfast store export` has written.")],
    store: Place,
    /,
    *,
    dry_run: Annotated[bool, flag("Check the file and the store, and write nothing.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Write a portfolio from a file to an empty store, then compare every value and every event.

    All of the file is read and checked first: what is cut off or changed by a bit is refused. Killed at any instant,
    the same command goes on where it was. The store is a copy then: `holdfast live` refuses it until
    `holdfast store activate`. Its namespace is that of the file unless the URL or --namespace says another.

    Example: `holdfast store import portfolio.jsonl.gz postgresql://bot@db/trading`
    """
    output = Output(json=json)
    theirs = None if says_namespace(store) else namespace or asyncio.run(_namespace(file))
    target = reader(store, theirs) if dry_run else writer(store, theirs)
    since = time.monotonic()
    with Bar(output) as bar:
        done = asyncio.run(import_file(file, target, dry_run=dry_run, tell=bar.tell))
    output.record(
        "summary", {"file": file, "to": target.url, **facts_of(done, target, time.monotonic() - since)}
    )
    if dry_run:
        output.say(
            f"{done.records:,} records and {done.events:,} events would be written to {target.url}; nothing was"
        )
    else:
        output.say(
            f"{target.url} holds {told(done)}. `holdfast store activate` lets it be traded on, where nobody trades on "
            "what it was exported from"
        )
    return 0


async def _namespace(file: str) -> str:
    async with PortableFile(file) as found:
        return found.namespace
