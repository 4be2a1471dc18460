"""`holdfast store activate`: trade on a copy whose original is gone, or again on a place that was moved from."""

import asyncio
from typing import Annotated

from holdfast.cli import codes
from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place
from holdfast.cli.store.reading import reader, writer
from holdfast.errors import InvalidOption
from holdfast.store import Store
from holdfast.store.tools import activate as activating
from holdfast.store.tools.mark import MARK_KEY, Mark, mark_of

__all__ = ("activate",)


def activate(
    store: Place,
    /,
    *,
    yes: Annotated[bool, flag("Do not ask: you know that nobody trades the other one.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Let a copy be traded on whose original is gone for good, or a place again that was moved from.

    Make sure first that nobody trades on the other one, now or later: two bots on one portfolio send orders twice.
    What happened there since the copy was made is not here; the next start compares with the exchange and halts
    what does not agree. Exit code 1 says that you said no.

    Example: `holdfast store activate postgresql://bot@db/trading`
    """
    output = Output(json=json)
    mark = asyncio.run(_mark(reader(store, namespace)))
    if mark is None:
        output.say("it can be traded on as it is: nothing to do")
        output.record("summary", {"activated": False})
        return codes.DONE
    output.note(f"this is marked {mark.state!r}; the other one is {mark.url} (namespace {mark.namespace})")
    if not (yes or _agreed(output, mark)):
        output.note("nothing was changed")
        return codes.FOUND
    asyncio.run(_activated(writer(store, namespace)))
    output.say(f"it can be traded on from now on; never start a bot on {mark.url} again")
    output.record("summary", {"activated": True, "was": mark.state, "other": mark.url})
    return codes.DONE


async def _mark(store: Store) -> Mark | None:
    async with store:
        return mark_of((await store.get(MARK_KEY))[0])


async def _activated(store: Store) -> None:
    async with store:
        await activating(store)


def _agreed(output: Output, mark: Mark) -> bool:
    if not output.asks:
        raise InvalidOption("nobody can be asked here: --yes says that nobody trades on the other one")
    return output.confirm(f"Is it certain that nobody will trade on {mark.url} any more?")
