"""`holdfast store activate`: trade on a copy whose original is gone, or again on a place that was moved from."""

import asyncio
from typing import Annotated, Final

from cyclopts import Parameter

from holdfast.cli import codes
from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place
from holdfast.cli.store.reading import reader, says_namespace, writer
from holdfast.errors import HoldfastError, InvalidOption, StoreMissing
from holdfast.store import Store
from holdfast.store.tools import activate as activating
from holdfast.store.tools.mark import MARK_KEY, Mark, mark_of
from holdfast.store.tools.refusing import refuse_encrypted

__all__ = ("activate",)

NO_PLACE: Final = {
    "export": "this was imported from a file; whether somebody trades on what it was exported from cannot be seen here",
    "memory": "the other one was in the memory of a process",
    "adapters": "the other one is in adapters of a desk's own: name that desk with --other",
}


def activate(
    store: Place,
    /,
    *,
    other: Annotated[
        str | None,
        Parameter(help="The other place, where it needs a password or a key, or is a desk's."),
    ] = None,
    yes: Annotated[bool, flag("Do not ask: you know that nobody trades the other one.")] = False,
    give_up_newer: Annotated[
        bool, flag("The other one was traded on since: do without what happened there.")
    ] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Let a copy be traded on whose original is gone for good, or a place again that was moved from.

    The other place is looked at where it can be opened from here: where somebody trades there, or has since, this is
    refused; else it is marked as moved to this one, and refuses to be traded on. Where it cannot be opened, make sure
    that nobody trades there, now or later: two bots on one portfolio send orders twice. What happened there since the
    copy was made is not here; the next start compares with the exchange and halts what does not agree. Exit code 1
    says that you said no.

    Example: `holdfast store activate postgresql://bot@db/trading`
    """
    output = Output(json=json)
    mark = asyncio.run(_mark(reader(store, namespace)))
    if mark is None:
        output.say("it can be traded on as it is: nothing to do")
        output.record("summary", {"activated": False})
        return codes.DONE
    where = f"{mark.url} (namespace {mark.namespace})"
    output.note(f"this is marked {mark.state!r}; the other one is {where}")
    place = _other(output, mark, other)
    if not (yes or _agreed(output, mark, left=place is not None)):
        output.note("nothing was changed")
        return codes.FOUND
    asyncio.run(_activated(writer(store, namespace), place, give_up_newer=give_up_newer))
    output.say(f"it can be traded on from now on; {_last(mark, left=place is not None)}")
    facts = {"was": mark.state, "other": mark.url, "other_left": place is not None}
    output.record("summary", {"activated": True, **facts})
    return codes.DONE


def _last(mark: Mark, *, left: bool) -> str:
    if left:
        return f"{mark.url} is marked as moved here, and refuses"
    if mark.url.startswith("export:"):
        return "never start a bot again on what the file was exported from"
    return f"never start a bot on {mark.url} again"


def _other(output: Output, mark: Mark, asked: str | None) -> Store | None:
    """Return the other place, to be opened; None, and why is said, where it cannot be looked at from here."""
    why = None if asked else NO_PLACE.get(mark.url.partition(":")[0])
    named = asked or mark.url
    chosen = None if says_namespace(named) else mark.namespace
    if why is None:
        try:
            asyncio.run(_mark(reader(named, chosen)))
            return writer(named, chosen)
        except StoreMissing as error:
            if asked:
                raise
            why = f"{error}, as seen from this machine"
        except InvalidOption as error:
            raise InvalidOption(f"{error}; name it with --other") from error
        except (HoldfastError, OSError) as error:
            if asked:
                raise
            why = f"it could not be opened: {error}. Where it needs a password or a key, name it with --other"
    output.note(f"the other place was not looked at: {why}")
    return None


async def _mark(store: Store) -> Mark | None:
    async with store:
        await refuse_encrypted(store)
        return mark_of((await store.get(MARK_KEY))[0])


async def _activated(store: Store, other: Store | None, *, give_up_newer: bool) -> None:
    async with store:
        await activating(store, other, give_up_newer=give_up_newer)


def _agreed(output: Output, mark: Mark, *, left: bool) -> bool:
    if not output.asks:
        raise InvalidOption("nobody can be asked here: --yes says that nobody trades on the other one")
    if left:
        return output.confirm(f"Trade on this one, and never again on {mark.url}?")
    whom = "what it was exported from" if mark.url.startswith("export:") else mark.url
    return output.confirm(f"Is it certain that nobody will trade on {whom} any more?")
