"""`postgresql:` on a real server: the contract, its tables, its batches."""

import asyncio
import sys

import pytest

from holdfast.errors import Conflict, Corrupt, FromTheFuture, InvalidOption, Unavailable
from holdfast.store import ABSENT, Append, Check, Delete, Durability, Key, Names, Put, Store, open_store
from holdfast.store.backends.postgres import schema
from holdfast.testing.servers.postgres import PostgresServer
from tests.store.backends.postgres_world import A, B, Locked, fresh, postgres, until, value
from tests.store.contract import HISTORIES, StoreContract, everything

pytestmark = pytest.mark.server("postgres")
__all__ = ("postgres",)


class TestPostgres(StoreContract):
    without = HISTORIES

    @pytest.fixture
    def store(self, postgres: PostgresServer) -> Store:
        return fresh(postgres.url)

    async def test_durability(self, store: Store) -> None:
        assert store.durability is Durability.POWER_LOSS
        assert store.warnings == ()
        assert store.shared


async def test_a_schema_that_needs_quoting_by_a_unix_socket(postgres: PostgresServer) -> None:
    url = f"postgresql://postgres@:{postgres.port}/holdfast"
    async with fresh(url, schema="Hold-Fast", host=postgres.folder) as store:
        await store.commit([Put(A, 1), Append("s", 1)])
        assert await value(store, A) == 1
        assert len(await everything(store.read("s"))) == 1
        assert await store.names() == Names(("signal.one",), ("s",))
    assert postgres.sql('SELECT count(*) FROM "Hold-Fast".records') == "1"


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_one_conflict_in_the_middle_of_a_batch(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, "there")])
        keys = [A if i == 31 else Key("many", f"{i:02d}") for i in range(64)]
        tries = [store.commit([Put(key, i, ABSENT), Append("all", i)]) for i, key in enumerate(keys)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert [i for i, result in enumerate(results) if not isinstance(result, str)] == [31]
        assert isinstance(results[31], Conflict)
        assert [event.value for event in await everything(store.read("all"))] == [
            i for i in range(64) if i != 31
        ]
        assert [event.number for event in await everything(store.read("all"))] == list(range(1, 64))
        assert await value(store, A) == "there"


async def test_a_batch_is_one_call(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        xid = int(postgres.sql("SELECT pg_current_xact_id()"))
        await asyncio.gather(*(store.commit([Put(Key("many", str(i)), i)]) for i in range(200)))
        assert (
            int(postgres.sql("SELECT pg_current_xact_id()")) - xid <= 4
        )  # the first goes alone; the last asks


async def test_members_build_upon_each_other(postgres: PostgresServer) -> None:
    """Commits of one batch are decided one behind the other, whatever the store held before."""
    async with fresh(postgres.url) as store:
        first = await store.commit([Put(A, 0)])
        steps = [
            store.commit([Put(A, 1, first)], commit_id="one"),
            store.commit([Put(A, 2, first)], commit_id="late"),
            store.commit([Put(A, 3, "one")], commit_id="three"),
            store.commit([Delete(A, "three")], commit_id="four"),
            store.commit([Check(A, ABSENT), Put(B, 1, ABSENT)], commit_id="five"),
            store.commit([Check(B, "elsewhere")], commit_id="six"),
            store.commit([Put(A, 1, first)], commit_id="one"),
        ]
        results = await asyncio.gather(*steps, return_exceptions=True)
        assert [r if isinstance(r, str) else type(r) for r in results] == [
            "one", Conflict, "three", "four", "five", Conflict, "one",
        ]  # fmt: skip
        assert [await value(store, key) for key in (A, B)] == [None, 1]


async def test_wrong_assumptions_and_remembered_ids_in_one_batch(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, 0)], commit_id="old")
        head = store.head
        steps = [
            store.commit([Put(A, 0, ABSENT)], commit_id="old"),
            store.commit([Put(A, 1, "never")], commit_id="no"),
            store.commit([Put(A, 2, "old"), Append("s", 1)], commit_id="yes"),
            store.commit([Put(A, 3, "no")], commit_id="neither"),
        ]
        results = await asyncio.gather(*steps, return_exceptions=True)
        assert [r if isinstance(r, str) else type(r) for r in results] == ["old", Conflict, "yes", Conflict]
        assert await value(store, A) == 2
        assert store.head == head + 1


async def test_two_stores_on_one_namespace(postgres: PostgresServer) -> None:
    """Read-modify-write from two connections at once loses no update, and streams have no gap."""
    async with fresh(postgres.url) as one, open_store(postgres.url, namespace=one.namespace) as two:

        async def increment(store: Store) -> None:
            while True:
                (record,) = await store.get(A)
                number, expect = (0, ABSENT) if record is None else (record.value, record.version)
                try:
                    await store.commit([Put(A, number + 1, expect), Append("s", number)])
                except Conflict:
                    continue
                return

        await asyncio.gather(*(increment(store) for store in (one, two) for _ in range(12)))
        assert await value(one, A) == 24
        assert [event.value for event in await everything(two.read("s"))] == list(range(24))


async def test_a_batch_of_large_values_goes_in_several_calls(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        large = "x" * 3_000_000
        await asyncio.gather(
            *(store.commit([Put(Key("large", str(i)), large), Append("s", i)]) for i in range(8))
        )
        assert [event.value for event in await everything(store.read("s"))] == list(range(8))


async def test_a_check_conflicts_with_a_concurrent_writer(postgres: PostgresServer) -> None:
    """A commit that has begun, and waits behind another one, is judged by what that one leaves."""
    lock = Locked(postgres)
    async with fresh(postgres.url) as store:
        version = await store.commit([Put(A, 1)])
        async with lock.row(store.namespace) as other:
            checked = asyncio.ensure_future(store.commit([Check(A, version), Put(B, 1, ABSENT)]))
            await until(lambda: _waits(lock))
            await other.fetch(
                "UPDATE holdfast.record SET version = 'theirs' WHERE namespace = $1", store.namespace
            )
        with pytest.raises(Conflict) as conflict:
            await checked
        assert conflict.value.found == "theirs"
        assert await store.get(B) == [None]


async def test_a_check_conflicts_with_a_concurrent_writer_control(postgres: PostgresServer) -> None:
    """The same with a function that does not lock first: the check passes, and what it checked changes behind it."""
    async with fresh(postgres.url, schema="unlocked") as store:
        made = postgres.sql("SELECT pg_get_functiondef('unlocked.commit'::regproc)")
        start, behind, write = (made.index(part) for part in ("UPDATE ", "IF NOT FOUND", "o_applied := true"))
        locking, checking = made[start:behind], made[behind:write].replace("IF NOT FOUND", "IF false", 1)
        postgres.sql(f"{made[:start]}{checking.replace('v_clock', '0')}{locking}{made[write:]}")
        version = await store.commit([Put(A, 1)])
        lock = Locked(postgres, "unlocked")
        async with lock.row(store.namespace) as other:
            checked = asyncio.ensure_future(store.commit([Check(A, version), Put(B, 1, ABSENT)]))
            await until(lambda: _waits(lock))
            await other.fetch("UPDATE unlocked.record SET version = 'theirs' WHERE entity_id = 'BTCUSDT'")
        await checked  # wrongly
        assert await value(store, B) == 1


async def _waits(lock: Locked) -> bool:
    return await lock.waiters() > 0


async def test_a_trigger_that_swallows_commits_is_named(postgres: PostgresServer) -> None:
    async with fresh(postgres.url, schema="meddled") as store:
        postgres.sql(
            "CREATE FUNCTION meddled.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
            "CREATE TRIGGER swallow BEFORE INSERT ON meddled.commit_id FOR EACH ROW EXECUTE FUNCTION meddled.swallow()"
        )
        with pytest.raises(Unavailable, match="is there a trigger") as refused:
            await store.commit([Put(A, 1)])
        assert not refused.value.unknown
        assert await store.get(A) == [None]


@pytest.mark.parametrize("careful", [True, False])
async def test_a_commit_reads_what_it_names_and_no_more(postgres: PostgresServer, careful: bool) -> None:
    schema = f"growing_{careful}".lower()
    async with fresh(postgres.url, schema=schema) as store:
        if not careful:  # the newest number asked for once an event
            made = postgres.sql(f"SELECT pg_get_functiondef('{schema}.commit'::regproc)")
            each = made.replace("max(k.newest) OVER (PARTITION BY k.stream)", "k.newest")
            postgres.sql(each.replace("WHEN k.number = 1 THEN", "WHEN k.number > 0 THEN"))
        many = [Key("many", str(i)) for i in range(500)]
        await store.commit([*(Put(key, 1) for key in many), *(Append("s", i) for i in range(500))])
        for key in many[:8]:
            await store.commit([Append("s", 1), Delete(key)])
        assert await store.last_number("s") == 508
    await until(lambda: _counted(postgres, schema, events=508, deletes=8))
    assert (_looked_up(postgres, schema) < 5000) is careful


async def _counted(postgres: PostgresServer, schema: str, *, events: int, deletes: int) -> bool:
    counted = postgres.sql(
        "SELECT sum(n_tup_ins) FILTER (WHERE relname = 'event'), sum(n_tup_del) FILTER (WHERE relname = 'record') "
        f"FROM pg_stat_user_tables WHERE schemaname = '{schema}'"
    )
    return counted == f"{events}|{deletes}"


def _looked_up(postgres: PostgresServer, schema: str) -> int:
    return int(
        postgres.sql(f"SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = '{schema}'")
    )


# --- what users see ---------------------------------------------------------------------------------------------------


async def test_records_are_jsonb_to_whoever_queries(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, {"z": 1.0, "side": "long", "nul": "a\0b"}), Put(B, {"side": "short"})])
        await store.commit([Append("history", {"kind": "opened"})])
        mine = f"namespace = '{store.namespace}'"
        query = "SELECT entity_id FROM holdfast.records WHERE value->>'side' = 'long' AND"
        assert postgres.sql(f"{query} {mine}") == "BTCUSDT"
        assert (
            postgres.sql(f'SELECT value @> \'{{"kind": "opened"}}\' FROM holdfast.events WHERE {mine}') == "t"
        )
        assert postgres.sql(f"SELECT pg_typeof(value) FROM holdfast.records WHERE {mine} LIMIT 1") == "jsonb"
        assert list(await value(store, A)) == ["z", "side", "nul"]
        # An index on what is asked for often is used by the view.
        postgres.sql("CREATE INDEX by_side ON holdfast.record ((holdfast.document(body)->>'side'))")
        plan = postgres.sql(f"SET enable_seqscan = off; SET enable_indexscan = on; EXPLAIN {query} true")
        assert "by_side" in plan
        postgres.sql("DROP INDEX holdfast.by_side")


async def test_a_damaged_record_is_corrupt(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, 1), Append("s", 1), Append("s", 2), Append("s", 3)])
        postgres.sql(f"UPDATE holdfast.record SET body = '{{' WHERE namespace = '{store.namespace}'")
        postgres.sql(f"DELETE FROM holdfast.event WHERE namespace = '{store.namespace}' AND number = 2")
        with pytest.raises(Corrupt) as corrupt:
            await store.get(A)
        assert corrupt.value.key == A
        with pytest.raises(Corrupt, match="event 2 of the stream 's' is missing"):
            await everything(store.read("s"))


async def test_ids_are_forgotten_after_a_quarter_of_an_hour(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Put(A, 1)], commit_id="old")
        await store.commit([Put(A, 2)], commit_id="newer")
        mine = f"namespace = '{store.namespace}'"
        postgres.sql(f"UPDATE holdfast.commit_id SET at = at - 960 WHERE {mine} AND commit_id = 'old'")
        store._parts.group._write.__self__._forgot -= 100  # type: ignore[attr-defined]  # it is time to look
        await store.commit([Put(A, 3)], commit_id="newest")
        assert (
            postgres.sql(
                f"SELECT string_agg(commit_id, ' ' ORDER BY at) FROM holdfast.commit_id WHERE {mine}"
            )
            == "newer newest"
        )


async def test_a_server_clock_that_jumps_ahead_makes_nobody_forget(postgres: PostgresServer) -> None:
    async with fresh(postgres.url) as store:
        await store.commit([Append("s", 1)], commit_id="it")
        mine = f"namespace = '{store.namespace}'"
        # What a commit sees behind a jump of an hour: it was here an hour ago.
        postgres.sql(f"UPDATE holdfast.namespace SET seen = seen - interval '1 hour' WHERE {mine}")
        store._parts.group._write.__self__._forgot -= 100  # type: ignore[attr-defined]
        await store.commit([Put(A, 1)])
        assert await store.commit([Append("s", 1)], commit_id="it") == "it"
        assert await store.last_number("s") == 1
        # A control: by the server's own clock it would be forgotten.
        postgres.sql(f"UPDATE holdfast.namespace SET clock = clock + 3600 WHERE {mine}")
        store._parts.group._write.__self__._forgot -= 100  # type: ignore[attr-defined]
        await store.commit([Put(A, 2)])
        await store.commit([Append("s", 1)], commit_id="it")
        assert await store.last_number("s") == 2


async def test_names_are_only_names(postgres: PostgresServer) -> None:
    odd = "x'; DROP TABLE holdfast.record; --\" \\ $1 %s"
    async with open_store(postgres.url, namespace=odd) as store, fresh(postgres.url) as other:
        await store.commit([Put(Key(odd, odd), odd), Append(odd, odd)])
        assert await value(store, Key(odd, odd)) == odd
        assert (await other.names()).entities == ()


@pytest.mark.parametrize("bad", ["", "a b", 'a"b', "a;b", "$x", "pg_catalog", "PG_x", "1a", "x" * 64, "é"])
def test_bad_schemas_are_refused(bad: str) -> None:
    with pytest.raises(InvalidOption, match="schema="):
        open_store(f"postgresql://h/db?schema={bad}")


@pytest.mark.parametrize(
    "query", ["schem=x", "synchronous_commit=yes", "readers=0", "connect_timeout=no", "host=/tmp"]
)
def test_bad_options_are_refused(query: str) -> None:
    with pytest.raises(InvalidOption):
        open_store(f"postgresql://h/db?{query}")


# --- the tables -------------------------------------------------------------------------------------------------------

OPENER = """
import asyncio, sys
from holdfast.store import Append, open_store
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_store(sys.argv[1], namespace="shared") as store:
        await store.commit([Append("opened", 1)])
asyncio.run(main())
"""


async def test_several_processes_make_the_tables_at_once(postgres: PostgresServer) -> None:
    url = f"{postgres.url}?schema=at_once"
    command = [sys.executable, "-c", OPENER, url]
    pipe = asyncio.subprocess.PIPE
    several = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3)
    ]
    for one in several:
        assert one.stdout
        await one.stdout.readline()
    for one in several:
        assert one.stdin
        one.stdin.write(b"go\n")
    for one in several:
        _, said = await one.communicate()
        assert one.returncode == 0, said.decode()
    async with open_store(url, namespace="shared") as store:
        assert await store.last_number("opened") == 3


async def test_a_newer_schema_is_from_the_future(postgres: PostgresServer) -> None:
    async with fresh(postgres.url, schema="future") as store:
        await store.commit([Put(A, 1)])
    postgres.sql("UPDATE future.format SET version = 99")
    with pytest.raises(FromTheFuture) as future:
        await store.open()
    assert (future.value.found, future.value.known) == (99, len(schema.MIGRATIONS))


async def test_a_migration_is_made_once_and_keeps_what_is_there(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh(postgres.url, schema="older") as store:
        await store.commit([Put(A, 1)])
    later = "ALTER TABLE {s}.record ADD COLUMN added integer NOT NULL DEFAULT 7"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    several = [open_store(f"{postgres.url}?schema=older", namespace=store.namespace) for _ in range(3)]
    await asyncio.gather(*(one.open() for one in several))
    assert [await value(one, A) for one in several] == [1, 1, 1]
    for one in several:
        await one.close()
    assert postgres.sql("SELECT version FROM older.format") == "2"
    assert postgres.sql("SELECT added FROM older.record") == "7"


async def test_a_migration_that_fails_changes_nothing(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh(postgres.url, schema="steady") as store:
        await store.commit([Put(A, 1)])
    later = "ALTER TABLE {s}.record ADD COLUMN added integer; SELECT 1 / 0"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
        with pytest.raises(Unavailable, match="division by zero"):
            await store.open()
    assert postgres.sql("SELECT version FROM steady.format") == "1"
    async with store:
        assert await value(store, A) == 1


async def test_a_role_that_may_not_create(postgres: PostgresServer) -> None:
    postgres.sql("CREATE ROLE trader LOGIN")
    url = postgres.url_of("trader")
    async with fresh(postgres.url, schema="granted") as store:
        await store.commit([Put(A, 1)])
    with pytest.raises(Unavailable, match="GRANT USAGE ON SCHEMA") as refused:
        await fresh(url, schema="nowhere").open()
    assert not refused.value.retryable
    postgres.sql("GRANT USAGE ON SCHEMA granted TO trader")
    postgres.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA granted TO trader")
    async with fresh(url, schema="granted") as store:
        await store.commit([Put(A, 1, ABSENT), Append("s", 1)])
        await store.commit([Delete(A)])
        assert await store.get(A) == [None]


async def test_a_roles_own_settings_change_nothing(postgres: PostgresServer) -> None:
    """A search path, an isolation level, silence about warnings: what a role is set to does not reach a store."""
    postgres.sql("CREATE ROLE odd LOGIN SUPERUSER")
    for setting in (
        "search_path = nowhere", "default_transaction_isolation = 'repeatable read'", "client_min_messages = error",
        "enable_indexscan = off", "statement_timeout = 1", "bytea_output = escape",
    ):  # fmt: skip
        postgres.sql(f"ALTER ROLE odd SET {setting}")
    async with fresh(postgres.url_of("odd")) as store:
        await store.commit([Put(A, 1)])
        assert await value(store, A) == 1


async def test_the_tables_can_be_made_by_hand(postgres: PostgresServer) -> None:
    postgres.sql(schema.ddl("by_hand"))
    async with fresh(postgres.url, schema="by_hand") as store:
        await store.commit([Put(A, 1)])
        assert await value(store, A) == 1
