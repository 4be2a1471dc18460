"""The tables of a schema, and how they come to be: created and migrated once, whoever starts first.

Bodies are the exact JSON text that was stored: `jsonb` would turn -0.0 to 0, 1e308 to an integer and the order of
names about, and refuses \\u0000. The views `records` and `events` show them as `jsonb`; there is one truth only.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast.errors import FromTheFuture
from holdfast.store.backends.postgres.statements import quoted

__all__ = ("MIGRATIONS", "Fetch", "check_version", "ddl", "is_current", "migrate")

Fetch = Callable[..., Awaitable[list[Any]]]
"""Runs one statement with its arguments and returns the rows."""

FIRST: Final = r"""
CREATE TABLE {s}.namespace (
    namespace text COLLATE "C" PRIMARY KEY,
    head bigint NOT NULL DEFAULT 0,
    fenced text[] NOT NULL DEFAULT '{}',
    clock double precision NOT NULL DEFAULT 0,
    seen timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

CREATE TABLE {s}.record (
    namespace text COLLATE "C" NOT NULL,
    entity_name text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (namespace, entity_name, entity_id)
) WITH (fillfactor = 80);

CREATE TABLE {s}.event (
    namespace text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (namespace, stream, number)
);

CREATE TABLE {s}.commit_id (
    namespace text COLLATE "C" NOT NULL,
    commit_id text COLLATE "C" NOT NULL,
    at double precision NOT NULL,
    PRIMARY KEY (commit_id, namespace)
);
CREATE INDEX commit_id_at ON {s}.commit_id (namespace, at);

CREATE FUNCTION {s}.document(body text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $holdfast$
    SELECT CASE WHEN strpos(body, '\u0000') = 0 THEN body ELSE replace(body, '\u0000', '\ufffd') END::jsonb
$holdfast$;

CREATE VIEW {s}.records AS
    SELECT namespace, entity_name, entity_id, {s}.document(body) AS value, version FROM {s}.record;
CREATE VIEW {s}.events AS
    SELECT namespace, stream, number, {s}.document(body) AS value, version FROM {s}.event;

CREATE FUNCTION {s}.commit(
    p_namespace text, p_session text, p_more boolean, p_forget boolean, p_kept text[], p_asked text[],
    p_names text[], p_ids text[], p_expected text[],
    p_put_names text[], p_put_ids text[], p_put_versions text[], p_put_bodies text[],
    p_gone_names text[], p_gone_ids text[],
    p_streams text[], p_numbers bigint[], p_event_versions text[], p_event_bodies text[],
    OUT o_applied boolean, OUT o_head bigint, OUT o_remembered text[], OUT o_found text[], OUT o_settings text
) LANGUAGE plpgsql VOLATILE AS $holdfast$
DECLARE
    v_count bigint;
    v_clock double precision;
BEGIN
    -- The namespace's row is locked first and to the end: all commits of a namespace stand in one line. Each statement
    -- behind it sees all that was committed before it (READ COMMITTED), so what is checked cannot change any more.
    -- Its clock, by which commit ids are forgotten, moves by a minute at most: where the server's own clock jumps
    -- ahead, a commit of a moment ago is still remembered.
    UPDATE {s}.namespace n SET head = n.head + cardinality(p_kept), seen = clock_timestamp(),
            clock = n.clock + least(greatest(extract(epoch FROM clock_timestamp() - n.seen), 0), 60)
        WHERE n.namespace = p_namespace AND p_session <> ALL (n.fenced)
        RETURNING n.head, n.clock, current_setting('fsync') || '|' || current_setting('full_page_writes') || '|'
            || current_setting('synchronous_commit') || '|' || current_setting('synchronous_standby_names')
        INTO o_head, v_clock, o_settings;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- All of the ids go in if all is as assumed and none of them is there, which shows in their number. Nobody else
    -- puts one in meanwhile.
    INSERT INTO {s}.commit_id (namespace, commit_id, at)
        SELECT p_namespace, k, v_clock FROM unnest(p_kept) AS k
        WHERE NOT EXISTS (
            SELECT FROM unnest(p_names, p_ids, p_expected) AS k(entity_name, entity_id, version)
            WHERE k.version IS DISTINCT FROM (
                SELECT r.version FROM {s}.record r WHERE r.namespace = p_namespace
                AND r.entity_name = k.entity_name AND r.entity_id = k.entity_id)
        ) AND NOT EXISTS (
            SELECT FROM unnest(p_kept || p_asked) AS k(id) WHERE (
                SELECT true FROM {s}.commit_id c WHERE c.namespace = p_namespace AND c.commit_id = k.id));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(p_kept) THEN
        -- Nothing is changed, and yet a transaction is written and flushed: what is said to be remembered is, behind
        -- it, as durable as anything new, also where it waits for a standby.
        DELETE FROM {s}.commit_id c WHERE c.namespace = p_namespace AND c.commit_id = ANY (p_kept)
            AND c.xmin = pg_current_xact_id()::xid;
        UPDATE {s}.namespace n SET head = n.head - cardinality(p_kept)
            WHERE n.namespace = p_namespace RETURNING n.head INTO o_head;
        o_applied := false;
        o_remembered := ARRAY(
            SELECT k.id FROM unnest(p_kept || p_asked) AS k(id) WHERE (
                SELECT true FROM {s}.commit_id c WHERE c.namespace = p_namespace AND c.commit_id = k.id));
        o_found := ARRAY(
            SELECT (SELECT r.version FROM {s}.record r WHERE r.namespace = p_namespace
                    AND r.entity_name = k.entity_name AND r.entity_id = k.entity_id)
            FROM unnest(p_names, p_ids) WITH ORDINALITY AS k(entity_name, entity_id, place) ORDER BY k.place);
        RETURN;
    END IF;
    o_applied := true;
    INSERT INTO {s}.record (namespace, entity_name, entity_id, version, body)
        SELECT p_namespace, k.* FROM unnest(p_put_names, p_put_ids, p_put_versions, p_put_bodies) AS k
        ON CONFLICT (namespace, entity_name, entity_id)
        DO UPDATE SET version = excluded.version, body = excluded.body;
    IF NOT p_more THEN
        RETURN;
    END IF;
    -- A look-up for each key and stream, whatever the planner takes the tables for: a join, or max(), may read all.
    DELETE FROM {s}.record d WHERE d.ctid = ANY (ARRAY(
        SELECT (SELECT r.ctid FROM {s}.record r WHERE r.namespace = p_namespace
                AND r.entity_name = k.entity_name AND r.entity_id = k.entity_id FOR UPDATE)
        FROM unnest(p_gone_names, p_gone_ids) AS k(entity_name, entity_id)));
    -- Asked once a stream: each look behind this statement's own rows would pass over all of them.
    INSERT INTO {s}.event (namespace, stream, number, version, body)
        SELECT p_namespace, k.stream, k.number + max(k.newest) OVER (PARTITION BY k.stream), k.version, k.body
        FROM (
            SELECT k.*, CASE WHEN k.number = 1 THEN coalesce((
                SELECT e.number FROM {s}.event e WHERE e.namespace = p_namespace AND e.stream = k.stream
                ORDER BY e.number DESC LIMIT 1), 0) END AS newest
            FROM unnest(p_streams, p_numbers, p_event_versions, p_event_bodies) AS k(stream, number, version, body)
        ) AS k;
    IF p_forget THEN
        DELETE FROM {s}.commit_id c WHERE c.ctid = ANY (ARRAY(
            SELECT o.ctid FROM {s}.commit_id o WHERE o.namespace = p_namespace AND o.at < v_clock - 900
            LIMIT 20000 FOR UPDATE));
    END IF;
END
$holdfast$;
"""

MIGRATIONS: tuple[str, ...] = (FIRST,)
"""What makes each version of the schema out of the one before; they are only ever added to."""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 20261123))"
TABLE = "CREATE TABLE {s}.format (version integer NOT NULL); INSERT INTO {s}.format VALUES (0)"


def ddl(schema: str, version: int = 0, *, exists: bool = False) -> str:
    """Return what makes a schema of today's version out of `version` (0: no tables; `exists`: but the schema)."""
    name = quoted(schema)
    made = [] if exists else [f"CREATE SCHEMA {name}"]
    made += [] if version else [TABLE]
    done = f"UPDATE {{s}}.format SET version = {len(MIGRATIONS)}"  # noqa: S608  # a number of ours
    return ";\n".join([*made, *MIGRATIONS[version:], done]).replace("{s}", name)


async def migrate(fetch: Fetch, execute: Callable[[str], Awaitable[Any]], schema: str) -> None:
    """Bring a schema to today's version, inside the caller's transaction; of several callers one does it.

    Raises FromTheFuture where it is newer.
    """
    await fetch(LOCK, f"holdfast schema {schema}")
    exists = bool(await fetch("SELECT FROM pg_namespace WHERE nspname = $1", schema))
    found = await _version(fetch, schema) if exists else 0
    check_version(found, schema)
    if not is_current(found):
        await execute(ddl(schema, found, exists=exists))


async def _version(fetch: Fetch, schema: str) -> int:
    made = await fetch(
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = 'format'",
        schema,
    )
    if not made:
        return 0
    rows = await fetch(f"SELECT version FROM {quoted(schema)}.format")  # noqa: S608  # a name that was checked
    return int(rows[0]["version"])


def is_current(found: int) -> bool:
    """Whether a schema of a version that was checked is today's."""
    return found == len(MIGRATIONS)


def check_version(found: int, schema: str) -> None:
    """Return if a schema's version is known; raises FromTheFuture where it is newer."""
    known = len(MIGRATIONS)
    if found > known:
        raise FromTheFuture(
            f"the schema {schema!r} is of version {found}: this Holdfast knows {known}; upgrade it",
            found=found, known=known,
        )  # fmt: skip
