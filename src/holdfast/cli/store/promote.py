"""`holdfast store promote`: make a replica the primary, and say what may be missing and what is to be done then."""

import asyncio
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct, to_builtins

from holdfast.cli import codes
from holdfast.cli.lines import moment
from holdfast.cli.options import Json, Namespace, flag
from holdfast.cli.output import Output
from holdfast.cli.store.reading import bare, bare_reader, says_namespace
from holdfast.cli.store.upkeep import agreed, standing_of
from holdfast.errors import Unavailable
from holdfast.store import Store
from holdfast.store.wrappers.replicated import Promotion, Status
from holdfast.store.wrappers.replicated import promote as promoting
from holdfast.store.wrappers.replicated.records import Fenced, Replica, Role, lost

__all__ = ("promote",)


class Before(Struct, frozen=True):
    """What was found beforehand: the replica's role, and how the old primary stands, or why that cannot be told."""

    role: Role | None
    old: Status | None
    why: str

    @property
    def is_complete(self) -> bool:
        """Whether nothing needs to be missing."""
        return self.old is not None and self.old.loss is None


def promote(
    replica: Annotated[str, Parameter("REPLICA", help="The URL of the replica, without ?replica=.")],
    /,
    *,
    old: Annotated[str | None, Parameter(help="The URL of the primary of until now.")] = None,
    yes: Annotated[bool, flag("Do not ask.")] = False,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Make a replica the primary: the old one takes no more commits, and what it still owes is taken over first.

    Give --old whenever that may still be reached: then nothing is missing. Where it cannot, what it acknowledged last
    is missing, and nobody can say how much; that is recorded, and a run here halts. Killed at any instant, the same
    command finishes it.

    Exit codes: 0 promoted with everything, 1 promoted and commits may be missing, or you said no, 2 refused.

    Example: `holdfast store promote redis://spare/0 --old postgresql://bot@db/trading`
    """
    output = Output(json=json)
    store = bare(replica, namespace)
    theirs = None if old is None or says_namespace(old) else store.namespace
    before = asyncio.run(_before(bare_reader(replica, namespace), old, theirs))
    if isinstance(before.role, Replica):
        output.note(_will(store.url, before.role, before))
        if not (yes or agreed(output, "Promote it?")):
            return codes.FOUND
    primary = None if old is None else bare(old, theirs)
    # Whoever was told that nothing will be missing is asked again where that turns out otherwise.
    done = asyncio.run(promoting(store, old=primary, complete=before.is_complete and not yes))
    _told(output, store, done)
    return codes.DONE if done.loss is None else codes.FOUND


async def _before(replica: Store, old: str | None, namespace: str | None) -> Before:
    role = (await standing_of(replica)).role
    if old is None:
        return Before(role, None, "no --old was given")
    try:
        return Before(role, await standing_of(bare_reader(old, namespace)), "")
    except Unavailable as error:
        return Before(role, None, f"the old primary cannot be reached ({error})")


def _will(url: str, role: Replica, before: Before) -> str:
    here = (
        f"{url} is at commit {role.number:,} of its primary, made {moment(role.at)} UTC" if role.at else url
    )
    if before.old is None:
        known = f": at least {role.known - role.number:,} commits" if role.known > role.number else ""
        return (
            f"{here}. {before.why}: what that acknowledged later will be missing{known}, and it is not fenced. Promote "
            "only if no bot runs there, and none will be started"
        )
    if isinstance(before.old.role, Fenced):
        return f"{here}. The old primary was fenced before, for {before.old.role.url}: what it owes is taken over"
    more = max(before.old.commits - role.number, 0)
    return (
        f"{here}. The old primary will take no more commits, from any process; then the {more:,} or more that the "
        "replica lacks are taken over"
    )


def _told(output: Output, store: Store, done: Promotion) -> None:
    output.record("summary", {"url": store.url, "namespace": store.namespace, **to_builtins(done)})
    output.say(f"{store.url} is the primary now (epoch {done.epoch}), with all up to commit {done.number:,}")
    if done.loss is None:
        output.say(f"nothing is missing. Next: {_start(store, '')}")
        return
    output.note(lost(done.loss))
    output.say(
        "next: 1. see to it that no bot runs on the old one. 2. Compare orders and positions with the exchange; a run "
        f"that is started now halts. 3. `holdfast store accept-loss {_place(store)}`. 4. {_start(store, ' --resume')}"
    )


def _start(store: Store, resume: str) -> str:
    joined = f"{store.url}{'&' if '?' in store.url else '?'}replica=NEW_URL"
    return (
        f"`holdfast live …{resume} --store '{joined}'` with a new replica; or without one, after "
        f"`holdfast store unreplicate {_place(store)}`"
    )


def _place(store: Store) -> str:
    said = store.namespace == "default" or "namespace=" in store.url
    return f"'{store.url}'" if said else f"'{store.url}' --namespace {store.namespace}"
