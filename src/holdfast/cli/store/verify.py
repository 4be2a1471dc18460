"""`holdfast store verify` and `repair`: what is not as it should be, and what can be done about it."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import to_builtins
from rich.text import Text

from holdfast.cli import codes
from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl, flag
from holdfast.cli.output import Output
from holdfast.cli.store.progress import Bar
from holdfast.cli.store.reading import folder_of, is_target, reader, replicas
from holdfast.cli.store.schemas import CHECKS
from holdfast.errors import HoldfastError, InvalidOption, Unsupported
from holdfast.store import Store
from holdfast.store.backends.file import repair as mending
from holdfast.store.backends.file import verify as finding
from holdfast.store.backends.file.findings import Finding
from holdfast.store.tools import differences
from holdfast.store.tools import verify as reading
from holdfast.store.tools.contents import Tell
from holdfast.store.tools.refusing import refuse_encrypted

__all__ = ("repair", "verify")

MENDED: Final = "restored"
PAUSES: Final = (0.5, 1.0, 2.0)
"""How long (s) a replica is given to follow, before what differs is a finding."""
ELSE: Final = (
    "An exported file or a copy comes back by `holdfast store import` or `copy`; the next live start compares with the "
    "exchange and halts what does not agree"
)
MEANS: Final = {
    "sqlite": "recovers by itself at every open, and of a damaged file `sqlite3 FILE .recover` saves what can be read",
    "redis": "recovers by itself when the server starts, and `redis-check-aof --fix` cuts a damaged end off",
    "unix": "recovers by itself when the server starts, and `redis-check-aof --fix` cuts a damaged end off",
    "postgresql": "recovers by itself when the server starts; what is damaged comes back from the server's backup",
    "mongodb": "recovers by itself when the server starts, and a damaged member is seeded again from the others",
    "memory": "has nothing that could be repaired",
    "adapters": "is in your own database, which has its own means",
}


def verify(store: StoreUrl = DEFAULT_STORE, *, namespace: Namespace = None, json: Json = False) -> int:
    """Read all of a store and say what is not as it should be; changes nothing, also while a bot uses it.

    Every record and event is read and decoded, and Holdfast's own documents are checked; streams must have no gaps.
    Of files every byte is read; SQLite's own integrity_check reads every page of its file. A store with ?replica= is
    compared with its replicas.

    Exit codes: 0 sound, 1 something was found, 2 it could not be read.

    Example: `holdfast store verify file:./logs/data`
    """
    output = Output(json=json)
    found = _found(output, store, namespace)
    if found == []:
        found = _read(output, store, namespace)
    if found is None:
        return codes.COULD_NOT_RUN
    _list(output, found)
    if found and folder_of(store, namespace) is not None:
        output.note("`holdfast store repair` mends what can be mended, and deletes nothing")
    output.say("the store is sound" if not found else f"{len(found)} findings")
    output.record("summary", {"findings": len(found)})
    return codes.FOUND if found else codes.DONE


def repair(
    store: StoreUrl = DEFAULT_STORE,
    *,
    namespace: Namespace = None,
    yes: Annotated[bool, flag("Do not ask.")] = False,
    json: Json = False,
) -> int:
    """Restore what the journal still knows, and set aside what cannot be trusted; nothing is deleted.

    Stop the bot first. What is set aside goes to the store's quarantine folder and is absent from then on: check it
    against the exchange before you trade. Exit code 1 says that there is such a thing, or that you said no.

    Example: `holdfast store repair file:./logs/data`
    """
    output = Output(json=json)
    folder = folder_of(store, namespace)
    if folder is None:
        raise _unsupported(store)
    found = _found(output, store, namespace)
    if found is None:
        return codes.COULD_NOT_RUN
    if not found:
        output.say("the store is sound: nothing to repair")
        output.record("summary", {"mended": 0, "set_aside": 0})
        return codes.DONE
    for one in found:
        output.note(_line(one))
    if not (yes or _agreed(output, len(found))):
        output.note("nothing was changed")
        return codes.FOUND
    return _told(output, mending.repair(str(folder), namespace=reader(store, namespace).namespace))


def _told(output: Output, done: Sequence[Finding]) -> int:
    _list(output, done)
    mended = sum(one.kind == MENDED for one in done)
    aside = len(done) - mended
    output.say(
        f"{mended} mended, {aside} set aside or lost"
        + (": check those against the exchange" if aside else "")
    )
    output.record("summary", {"mended": mended, "set_aside": aside})
    return codes.FOUND if aside else codes.DONE


def _found(output: Output, asked: str, namespace: str | None) -> list[Finding] | None:
    """Return what the file store's own verify finds, nothing for another store; None, and an error said, where it
    could not read."""
    folder = folder_of(asked, namespace)
    if folder is None:
        return []
    try:
        return finding.verify(str(folder), namespace=reader(asked, namespace).namespace)
    except HoldfastError as error:
        output.error(str(error), kind=type(error).__name__)
        return None


def _read(output: Output, asked: str, namespace: str | None) -> list[Finding]:
    """Return what is found by reading everything, as any store can."""
    with Bar(output) as bar:
        found = asyncio.run(_verified(reader(asked, namespace, looking=True), bar.tell))
        primary, others = replicas(asked, namespace)
        for replica in others:
            found += asyncio.run(_compared(primary, replica, bar.tell))
        return found


async def _verified(store: Store, tell: Tell) -> list[Finding]:
    async with store:
        await refuse_encrypted(store)
        return await reading(store, CHECKS, tell=tell)


async def _compared(primary: Store, replica: Store, tell: Tell) -> list[Finding]:
    """Return how a replica differs from its primary; what differs for as long as it takes to follow is no finding."""
    async with primary, replica:
        for pause in (*PAUSES, None):
            wrong = await differences(primary, replica, tell=tell)
            if not wrong or pause is None:
                break
            await asyncio.sleep(pause)
    return [
        Finding("replica", replica.url, f"{one} (first: the primary; it follows while a run has ?replica=)")
        for one in wrong
    ]


def _unsupported(asked: str) -> Unsupported:
    scheme = "adapters" if is_target(asked) else asked.partition(":")[0]
    means = next((means for start, means in MEANS.items() if scheme.startswith(start)), "has its own means")
    return Unsupported(f"repair is for files; {scheme}: {means}. {ELSE}", scheme=scheme)


def _agreed(output: Output, count: int) -> bool:
    if not output.asks:
        raise InvalidOption("nobody can be asked here: --yes repairs without")
    return output.confirm(f"{count} findings. Repair now?")


def _list(output: Output, findings: Sequence[Finding]) -> None:
    for one in findings:
        output.record("finding", to_builtins(one))
        output.say(_line(one))


def _line(one: Finding) -> Text:
    whose = "" if one.key is None else f" ({one.key.entity_name} {one.key.entity_id})"
    style = "green" if one.kind == MENDED else "bold red"
    return Text.assemble((f"{one.kind:<12}", style), f"{one.path}{whose} {one.reason}")
