"""`holdfast store reseed`: a fresh replica in the place of one that parted from its primary, or is gone."""

import asyncio
from typing import Annotated, Final

from cyclopts import Parameter
from msgspec import to_builtins

from holdfast.cli import codes
from holdfast.cli.options import Json, Namespace
from holdfast.cli.output import Output
from holdfast.cli.store.copy import Place
from holdfast.cli.store.reading import bare, bare_reader, says_namespace
from holdfast.cli.store.upkeep import standing_of
from holdfast.errors import InvalidOption, Unavailable, Unsupported
from holdfast.store import Store
from holdfast.store.wrappers.replicated import Replicated, Verified, look
from holdfast.store.wrappers.replicated.promotion import set_aside
from holdfast.store.wrappers.replicated.records import Primary
from holdfast.system import SystemClock

__all__ = ("reseed",)

WAIT: Final = 5.0


def reseed(
    store: Place,
    old: Annotated[str, Parameter("REPLICA", help="The URL of the replica that is to be replaced.")],
    fresh: Annotated[str, Parameter("FRESH", help="The URL of an empty store, or of one this has begun on.")],
    /,
    *,
    namespace: Namespace = None,
    json: Json = False,
) -> int:
    """Let an empty store take the place of a replica that parted from its primary; copy everything, and compare it.

    Nothing is overwritten or deleted: the old replica keeps what it holds, and refuses every commit from then on. One
    that is gone for good is forgotten (`holdfast store forget`), not re-seeded. Killed at any instant, the same command
    goes on. A bot may run meanwhile where the store is a server; start it anew with FRESH in its ?replica=.

    Exit codes: 0 done and equal, 1 failed on the way (run it again), 2 refused.

    Example: `holdfast store reseed postgresql://bot@db/trading redis://spare/0 redis://spare/1`
    """
    output = Output(json=json)
    primary = bare(store, namespace)
    one, two = (bare(each, None if says_namespace(each) else primary.namespace) for each in (old, fresh))
    if len({(each.url, each.namespace) for each in (primary, one, two)}) < 3:
        raise InvalidOption("name the primary, its replica and an empty store: three different ones")
    if not isinstance(asyncio.run(standing_of(bare_reader(store, namespace))).role, Primary):
        raise Unsupported(f"{primary.url} is no primary: `holdfast store replicas` says what it is")
    done = asyncio.run(_reseeded(output, primary, one, two))
    output.record("summary", {**to_builtins(done), "equal": done.equal})
    for each in done.differences:
        output.note(each)
    output.say(
        f"{two.url} follows {primary.url}: {done.records:,} records and {done.events:,} events, "
        + ("compared and equal" if done.equal else f"not equal: {done.error or 'see above'}")
        + ". Name it in the ?replica= of every run"
    )
    return codes.DONE if done.equal else codes.FOUND


async def _reseeded(output: Output, primary: Store, old: Store, fresh: Store) -> Verified:
    async with Replicated(primary, [fresh]) as store:
        # One that is not empty is refused here, before anything is set aside.
        while not _has_begun(store):  # noqa: ASYNC110  # the follower tells of its first try only
            await asyncio.sleep(0.05)
        await _set_aside(store, old, fresh)
        output.note(f"{old.url} is set aside; copying")
        while not await store.caught_up(seconds=WAIT):
            _has_begun(store)
        [verified] = await store.verify()
        return verified


def _has_begun(store: Replicated) -> bool:
    [follower] = store.followers
    if follower.error is not None:
        raise follower.error
    return follower.position is not None


async def _set_aside(store: Replicated, old: Store, fresh: Store) -> None:
    seen = await look(store.inner, old, url=old.url, namespace=old.namespace)
    if seen.state == "unknown":
        raise Unavailable(
            f"{seen.error}. Nothing was set aside: a replica that is gone for good is forgotten (`holdfast store "
            "forget`), and another one is simply named in ?replica=",
            unknown=False,
        )
    try:
        await set_aside(old, fresh, seen.error or "re-seeded", clock=SystemClock())
    finally:
        await old.close()
    if seen.name is not None:
        await store.forget(seen.name)
