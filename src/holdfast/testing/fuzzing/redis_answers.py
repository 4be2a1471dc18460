"""A Redis store whose server answers with something else than it should: any value of RESP, or bytes that are none.

An answer is refused by a typed error, or what comes of it is what it says; a commit whose answer makes no sense may
have happened, and is told so. redis-py's own connection and parser read the answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from holdfast.errors import (
    Conflict,
    Corrupt,
    HoldfastError,
    InvalidOption,
    StoreError,
    Unavailable,
    Unsupported,
)
from holdfast.store import Durability, Key, Record, Store
from holdfast.store.backends import network
from holdfast.store.backends.redis.store import RedisStore
from holdfast.testing.fuzzing import redis_meanings as meanings
from holdfast.testing.fuzzing import redis_replies as replies
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.file_store import running
from holdfast.testing.fuzzing.redis_harm import Server, store_on
from holdfast.testing.fuzzing.redis_meanings import Nonsense
from holdfast.testing.fuzzing.redis_replies import GREETING, KEYS, READING, STREAM, WRITING
from holdfast.testing.fuzzing.target import require

__all__ = ("careless", "commits", "greeting", "hopeful", "reads")

WAITING: Final = "&wait_replicas=1&wait_aof=1"
REFUSALS: Final = (StoreError, InvalidOption)


def reads(data: bytes) -> None:
    """What is read of a Redis server is what it answered, as a script of ours answers, or refused."""
    _reads(data, RedisStore)


def commits(data: bytes) -> None:
    """A commit on a Redis server is done or in conflict where the answer says so, and else may have happened."""
    _commits(data, RedisStore)


def greeting(data: bytes) -> None:
    """A Redis server is opened and trusted as far as it says that it can be, found by itself, a cluster, sentinels."""
    dice = Dice(data)
    server = Server(dice, [*GREETING])
    route = dice.pick(("direct", "sentinel", "cluster"))

    async def use() -> None:
        async with store_on(RedisStore, server, route=route) as store:
            try:
                heard = {name: server.wire.heard.get(name) for name in GREETING}
                survives = meanings.gained(heard, watched=route != "direct")
            except Nonsense as error:
                require(False, f"taken: {error}, of {heard!r:.300}")
            promised = store.durability is Durability.POWER_LOSS
            require(survives or not promised, "durability: promised, and the server does not say so")
            require(promised or server.harmed, f"durability: {store.durability}")

    try:
        running(use)
    except REFUSALS as error:
        require(server.harmed, f"refused: a server that nothing happened to: {error!r}")


class _Careless(RedisStore):
    """A store that takes records whose answer it cannot read for absent."""

    async def get(self, *keys: Key) -> list[Record | None]:
        try:
            return await super().get(*keys)
        except Corrupt:
            return [None] * len(keys)


class _Hopeful(RedisStore):
    """A store that takes a commit of which nothing certain is heard for done."""

    async def commit(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().commit(*arguments, **options)
        except Unavailable:
            return options["commit_id"]


def careless(data: bytes) -> None:
    """Feed a store that takes what it cannot read for nothing being there."""
    _reads(data, _Careless)


def hopeful(data: bytes) -> None:
    """Feed a store that takes a commit that may have happened for done."""
    _commits(data, _Hopeful)


def _reads(data: bytes, kind: type[RedisStore]) -> None:
    server = Server(Dice(data), [*READING])

    async def use() -> None:
        async with store_on(kind, server) as store:
            for name, meaning, ask in _questions(store):
                await _held_against(server, name, meaning, ask)

    running(use)


async def _held_against(
    server: Server, name: str, meaning: Callable[[Any], Any], ask: Callable[[], Awaitable[Any]]
) -> None:
    try:
        found = await ask()
    except REFUSALS as error:
        require(server.harmed, f"refused: answers that nothing happened to: {error!r}")
        return
    try:
        meant = meaning(server.heard(name))
    except Nonsense as error:
        require(False, f"taken: for right by {name}: {error}, of {server.wire.heard.get(name)!r:.200}")
    require(found == meant, f"another value: {name} is {found!r:.200}, not {meant!r:.200}")


def _questions(store: Store) -> tuple[tuple[str, Callable[[Any], Any], Callable[[], Awaitable[Any]]], ...]:
    async def scanned() -> Any:
        return [record async for record in store.scan(KEYS[0].entity_name)]

    async def events() -> Any:
        return [event async for event in store.read(STREAM)]

    async def entities() -> Any:
        return (await store.names()).entities

    async def streams() -> Any:
        return (await store.names()).streams

    return (
        ("GET", meanings.records, lambda: store.get(*KEYS)),
        ("SCAN", meanings.scanned, scanned),
        ("EVENTS", meanings.events, events),
        ("INDEX entities", meanings.names, entities),
        ("INDEX streams", meanings.names, streams),
        ("LAST", meanings.newest, lambda: store.last_number(STREAM)),
    )


def _commits(data: bytes, kind: type[RedisStore]) -> None:
    dice = Dice(data)
    waits = dice.chance(2)
    server = Server(dice, [*WRITING] if waits else ["COMMIT"])

    async def use() -> None:
        async with store_on(kind, server, options=WAITING if waits else "") as store:
            asked = [store.commit(changes, commit_id=commit_id) for commit_id, changes in replies.BATCH]
            _require_told(server, await asyncio.gather(*asked, return_exceptions=True), waits=waits)

    running(use)


def _require_told(server: Server, outcomes: Sequence[Any], *, waits: bool) -> None:
    """Require of each commit that what its caller is told is what the answers say of it."""
    try:
        meant = meanings.became(server.heard("COMMIT"))
    except Nonsense:
        meant = [None] * len(outcomes)
    cut = waits and any(_is_lost(server.wire.heard.get(name)) for name in WRITING)
    kept = not waits or meanings.waited(server.wire.heard.get("WAIT"), server.wire.heard.get("WAITAOF"))
    for (commit_id, _), outcome, one in zip(replies.BATCH, outcomes, meant, strict=True):
        if not isinstance(outcome, HoldfastError) and isinstance(outcome, BaseException):
            raise outcome
        told = (
            "conflict"
            if isinstance(outcome, (Conflict, Unsupported))
            else "done"
            if outcome == commit_id
            else "failed"
        )
        right = one if kept or one != "done" else None
        if cut and getattr(outcome, "unknown", False):
            continue
        require(told == (right or "failed"), f"outcome: {told} and not {right}: {outcome!r}")
        if right is None and _is_unclear(server):
            require(
                getattr(outcome, "unknown", False), f"certain: a commit that may have happened: {outcome!r}"
            )


def _is_lost(answer: Any) -> bool:
    """Whether the connection ended at an answer, so that all that was sent with it is in doubt."""
    said = network.driver("redis.exceptions", extra="redis").ResponseError
    return answer is None or (isinstance(answer, Exception) and not isinstance(answer, said))


def _is_unclear(server: Server) -> bool:
    """Whether the server has answered the commit, and not by an error."""
    return not isinstance(server.wire.heard.get("COMMIT", Nonsense()), Exception)
