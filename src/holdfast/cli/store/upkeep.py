"""`holdfast store forget`, `accept-loss` and `unreplicate`: what a person does to a primary."""

import asyncio
from typing import Annotated

from cyclopts import Parameter
from msgspec import to_builtins

from holdfast.cli import codes
from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place
from holdfast.cli.store.reading import bare, bare_reader, says_namespace
from holdfast.errors import InvalidOption
from holdfast.store import Store, open_store
from holdfast.store.wrappers.replicated import Status, status
from holdfast.store.wrappers.replicated import accept_loss as accepting
from holdfast.store.wrappers.replicated import forget as forgetting
from holdfast.store.wrappers.replicated import unreplicate as ending
from holdfast.store.wrappers.replicated.records import Primary, lost

__all__ = ("accept_loss", "agreed", "forget", "standing_of", "unreplicate")


def forget(
    store: Place,
    replica: Annotated[str, Parameter(help="Its URL or its name, as `holdfast store replicas` shows them.")],
    /,
    *,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Keep nothing more for a replica that is gone for good; the replica itself is not touched.

    Take it out of the ?replica= of every run, too. One that was forgotten and comes back cannot follow any more: it is
    re-seeded.

    Example: `holdfast store forget postgresql://bot@db/trading redis://spare/0`
    """
    output = Output(json=json)
    name, chosen = _named(replica)
    found = asyncio.run(forgetting(bare(store, namespace), name, chosen))
    for one in found:
        output.say(f"{one.url}, namespace {one.namespace}, is owed nothing more")
    output.record("summary", {"forgotten": [to_builtins(one) for one in found]})
    return codes.DONE


def accept_loss(
    store: Place,
    /,
    *,
    yes: Annotated[bool, flag("Do not ask: you compared with the exchange.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Take what a promotion lost for dealt with: later runs are not told any more, and do not halt for it.

    Compare with the exchange first: what the old primary acknowledged at the end is not in these books. After that,
    `holdfast live … --resume` trades again. Exit code 1 says that you said no.

    Example: `holdfast store accept-loss redis://spare/0`
    """
    output = Output(json=json)
    loss = asyncio.run(standing_of(bare_reader(store, namespace))).loss
    if loss is not None:
        output.note(lost(loss))
        if not (yes or agreed(output, "Are the books right, compared with the exchange?")):
            return codes.FOUND
    asyncio.run(accepting(bare(store, namespace)))
    output.say(
        "nothing was lost here" if loss is None else "accepted: `holdfast live … --resume` trades again"
    )
    output.record("summary", {"accepted": loss is not None, "loss": to_builtins(loss)})
    return codes.DONE


def unreplicate(
    store: Place,
    /,
    *,
    yes: Annotated[bool, flag("Do not ask.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """End the replication of a primary, so that it is opened without ?replica= again.

    Its replicas stay as they are, follow nobody, and are refused by `holdfast live`. A promoted store whose loss was
    not accepted is refused: see `holdfast store accept-loss`. Exit code 1 says that you said no.

    Example: `holdfast store unreplicate postgresql://bot@db/trading`
    """
    output = Output(json=json)
    standing = asyncio.run(standing_of(bare_reader(store, namespace)))
    if standing.role is None:
        output.say("it is not replicated: nothing to do")
        output.record("summary", {"ended": False})
        return codes.DONE
    if isinstance(standing.role, Primary) and standing.loss is None:
        named = ", ".join(member.url for member in standing.members.values()) or "none"
        output.note(f"replicas that will not follow any more: {named}")
        if not (yes or agreed(output, "End the replication?")):
            return codes.FOUND
    asyncio.run(ending(bare(store, namespace)))
    output.say(
        "the replication has ended: open it without ?replica=, and stop runs that have it open with one"
    )
    output.record("summary", {"ended": True, "replicas": len(standing.members)})
    return codes.DONE


async def standing_of(store: Store) -> Status:
    """Return what a store, opened and closed here, is in a replication."""
    async with store:
        return await status(store)


def agreed(output: Output, question: str) -> bool:
    """Ask, and say so where the answer is no; raises InvalidOption where nobody is there to answer."""
    if not output.asks:
        raise InvalidOption("nobody can be asked here: --yes does it without")
    if output.confirm(question):
        return True
    output.note("nothing was changed")
    return False


def _named(replica: str) -> tuple[str, str | None]:
    if "/" not in replica and ":" not in replica:
        return replica, None
    place = open_store(replica)
    return place.url, place.namespace if says_namespace(replica) else None
