"""The SQL that a store sends, for its schema. Names of users are parameters; the schema's name is quoted.

Statements find rows by key only, so they stay as they are whatever is stored.
"""

from msgspec import Struct

__all__ = ("HELLO", "Statements", "quoted", "statements")

HELLO = """
SELECT current_setting('server_version_num')::int AS server, current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only,
       current_setting('transaction_isolation') AS isolation, current_user AS role, current_database() AS database,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS standbys,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = 'format') AS made
"""


class Statements(Struct, frozen=True):
    """Every statement on one schema."""

    version: str
    claim: str
    lineage: str
    fence: str
    commit: str
    get_one: str
    get_many: str
    scan: str
    read: str
    last: str
    names: str


def quoted(name: str) -> str:
    """Return an identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def statements(schema: str) -> Statements:
    """Return the statements on a schema."""
    return Statements(**{name: text.replace("{s}", quoted(schema)) for name, text in TEMPLATES.items()})


TEMPLATES = {
    "version": "SELECT version FROM {s}.format",
    "claim": "INSERT INTO {s}.namespace (namespace) VALUES ($1) ON CONFLICT DO NOTHING",
    "lineage": """
        SELECT n.head, $2::text IS NULL
               OR EXISTS (SELECT FROM {s}.commit_id c WHERE c.namespace = $1 AND c.commit_id = $2) AS remembers
        FROM {s}.namespace n WHERE n.namespace = $1""",
    # Behind this, nothing that an older connection has sent can be carried out any more: `commit` looks here.
    "fence": """
        UPDATE {s}.namespace
        SET fenced = (fenced || $2::text[])[greatest(cardinality(fenced) + cardinality($2::text[]) - 31, 1):]
        WHERE namespace = $1""",
    "commit": """
        SELECT {s}.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)""",
    "get_one": """
        SELECT entity_name, entity_id, version, body FROM {s}.record
        WHERE namespace = $1 AND entity_name = $2 AND entity_id = $3""",
    # One index look-up a key, whatever the planner takes the table for: a join may read all of a namespace.
    "get_many": """
        SELECT r.entity_name, r.entity_id, r.version, r.body
        FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::text[])) AS k(entity_name, entity_id)
        CROSS JOIN LATERAL (
            SELECT * FROM {s}.record r WHERE r.namespace = $1 AND r.entity_name = k.entity_name
            AND r.entity_id = k.entity_id OFFSET 0) AS r""",
    "scan": """
        SELECT entity_name, entity_id, version, body FROM {s}.record
        WHERE namespace = $1 AND entity_name = $2 AND entity_id > $3 ORDER BY entity_id LIMIT $4""",
    "read": """
        SELECT number, version, body FROM {s}.event
        WHERE namespace = $1 AND stream = $2 AND number > $3 ORDER BY number LIMIT $4""",
    "last": "SELECT number FROM {s}.event WHERE namespace = $1 AND stream = $2 ORDER BY number DESC LIMIT 1",
    # One index look-up a name, however many records or events each has.
    "names": """
        WITH RECURSIVE entity(name) AS (
            (SELECT entity_name FROM {s}.record WHERE namespace = $1 ORDER BY entity_name LIMIT 1)
            UNION ALL
            SELECT (SELECT r.entity_name FROM {s}.record r WHERE r.namespace = $1 AND r.entity_name > entity.name
                    ORDER BY r.entity_name LIMIT 1) FROM entity WHERE entity.name IS NOT NULL
        ), stream(name) AS (
            (SELECT stream FROM {s}.event WHERE namespace = $1 ORDER BY stream LIMIT 1)
            UNION ALL
            SELECT (SELECT e.stream FROM {s}.event e WHERE e.namespace = $1 AND e.stream > stream.name
                    ORDER BY e.stream LIMIT 1) FROM stream WHERE stream.name IS NOT NULL
        )
        SELECT true AS is_entity, name FROM entity WHERE name IS NOT NULL
        UNION ALL SELECT false, name FROM stream WHERE name IS NOT NULL""",
}
