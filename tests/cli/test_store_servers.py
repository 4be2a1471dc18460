"""The commands on real servers, which have passwords that are never shown."""

import asyncio
from collections.abc import Iterator

import pytest

from holdfast.store import Append, Key, Put, open_store
from holdfast.testing.servers.park import Park, in_namespace
from holdfast.testing.servers.redis import RedisServer
from tests.cli.builders import Here

READING = ["ls", "stats", "verify"]


@pytest.fixture(scope="module")
def park() -> Iterator[Park]:
    with Park() as park:
        yield park


async def fill(url: str) -> None:
    async with open_store(url) as store:
        await store.commit([Put(Key("state.mine", f"{n}"), {"n": n}) for n in range(20)])
        await store.commit([Append("history.mine.X", {"type": "MyOwn", "n": n}) for n in range(30)])


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("postgres", marks=pytest.mark.server("postgres")),
        pytest.param("redis", marks=pytest.mark.server("redis")),
        pytest.param("sqlite"),
    ],
)
def test_every_command_reads_it_beside_whoever_writes(here: Here, park: Park, kind: str) -> None:
    url = park.url(kind) if kind == "sqlite" else in_namespace(park.server(kind).url, "commands")

    async def beside() -> None:
        async with open_store(url) as store:
            head = store.head
            for word in READING:
                assert (await asyncio.to_thread(here, "store", word, url)).code == 0
            shown = await asyncio.to_thread(
                here, "store", "show", "state.mine", "7", "--store", url, "--json"
            )
            assert shown.of_type("entity")[0]["value"] == {"n": 7}
            told = await asyncio.to_thread(here, "store", "history", "mine", "X", "--store", url, "--json")
            assert told.summary["events"] == 30
            await store.commit([])
            assert store.head <= head + 1  # nobody has committed anything meanwhile

    asyncio.run(fill(url))
    asyncio.run(beside())
    done = here("store", "stats", url, "--json")
    assert done.summary["records"] == 20
    assert done.summary["shared"] is True
    assert done.summary["head"] >= 2
    assert here("store", "repair", url, "--yes").code == 2


@pytest.mark.server("redis")
def test_a_password_is_never_shown(here: Here) -> None:
    with RedisServer(password="s3cr3t-word") as server:
        asyncio.run(fill(server.url))
        said = [here("store", word, server.url, *how) for word in READING for how in ((), ("--json",))]
        said += [
            here("store", "copy", server.url, "memory:", "--json"),
            here("store", "copy", "memory:", server.url),
        ]
        said += [
            here("store", "activate", server.url),
            here("store", "ls", server.url.replace("s3cr3t-word", "s3cr3t-wrong")),
        ]
    said.append(here("store", "ls", f"{server.url}?connect_timeout=0.5"))
    assert [done.code for done in said] == [0] * 7 + [2, 0, 2, 1]
    assert "s3cr3t" not in "".join(done.out + done.err for done in said)


@pytest.mark.server("redis")
def test_what_is_only_looked_at_may_be_where_nobody_could_trade(here: Here, park: Park) -> None:
    server = park.server("redis")
    assert isinstance(server, RedisServer)
    url = in_namespace(server.url, "looking")
    asyncio.run(fill(url))
    looks = [("ls", url), ("stats", url), ("verify", url), ("show", "state.mine", "7", url)]
    eviction = ("CONFIG", "SET", "maxmemory-policy")
    for ask, back, said in (
        ((*eviction, "allkeys-lru"), (*eviction, "noeviction"), "it throws records away"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "is a read-only replica"),
    ):
        server.ask(*ask)
        try:
            assert [here("store", *words).code for words in looks] == [0, 0, 0, 0]
            assert said in " ".join(here("store", "stats", url).err.split())
            refused = here("store", "copy", "memory:", url)
            assert refused.code == 2
            assert said in " ".join(refused.err.split())
        finally:
            server.ask(*back)
    keys = server.ask("DBSIZE")
    done = here("store", "ls", in_namespace(server.url, "mistyped"))
    assert done.code == 2
    assert "nothing is stored in namespace 'mistyped'" in " ".join(done.err.split())
    assert server.ask("DBSIZE") == keys, "looking makes nothing"
