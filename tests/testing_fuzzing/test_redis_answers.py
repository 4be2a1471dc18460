"""The answers of Redis that are fuzzed are those of a real server."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from holdfast.errors import Conflict
from holdfast.store.backends.redis.line import Line
from holdfast.store.backends.redis.store import RedisStore
from holdfast.store.url import parse
from holdfast.system import SystemClock, system_ids
from holdfast.testing.fuzzing import redis_replies as replies
from holdfast.testing.fuzzing.redis_wire import Refusal, question, spoken
from holdfast.testing.servers.redis import RedisServer


@pytest.mark.server("redis")
def test_the_samples_are_what_a_real_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: dict[str, Any] = {}
    ask = Line.ask

    async def asked(self: Line, *commands: Sequence[Any], within: float) -> list[Any]:
        answers = await ask(self, *commands, within=within)
        for command, answer in zip(commands, answers, strict=True):
            words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
            if not isinstance(answer, Exception):  # the server has not seen this script yet
                heard.setdefault(question(words), answer)
        return answers

    with RedisServer() as server:
        store = RedisStore(
            parse(f"{server.url}?commit_timeout=100&read_timeout=100&connect_timeout=100"),
            clock=SystemClock(),
            ids=system_ids,
        )
        asyncio.run(_used(store, lambda: monkeypatch.setattr(Line, "ask", asked)))
    samples = {**replies.GREETING, **replies.READING, **replies.WRITING}
    same = {name for name, answer in heard.items() if answer == samples[name]}
    assert {*replies.READING, "COMMIT", "CONFIG GET appendonly", "CONFIG GET appendfsync"} <= same, heard
    assert [type(part) for part in heard["BIND"]] == [type(part) for part in replies.GREETING["BIND"]]


async def _used(store: RedisStore, listen: Callable[[], None]) -> None:
    """Fill a store, and from then on listen to each answer once."""
    async with store:
        for commit_id, changes in replies.BEFORE:
            await store.commit(changes, commit_id=commit_id)
        listen()
        await store.get(*replies.KEYS)
        [record async for record in store.scan(replies.KEYS[0].entity_name)]
        [event async for event in store.read(replies.STREAM)]
        await store.names()
        await store.last_number(replies.STREAM)
        several = [store.commit(changes, commit_id=commit_id) for commit_id, changes in replies.BATCH]
        found = await asyncio.gather(*several, return_exceptions=True)
        assert [type(one) for one in found] == [str, str, Conflict, Conflict]
    async with store:
        pass


def test_values_are_spoken_as_redis_speaks() -> None:
    assert (
        spoken([1, b"x", None, [], Refusal("ERR no")]) == b"*5\r\n:1\r\n$1\r\nx\r\n$-1\r\n*0\r\n-ERR no\r\n"
    )
