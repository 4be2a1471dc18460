"""`postgresql:`: a namespace in PostgreSQL tables, written by one call of a function a batch.

`options` what a URL says, `schema` the tables and their migrations, `statements` the SQL, `session` one connection,
`reaching` how connections are made and judged, `findings` what the server's settings promise, `planning` and
`writing` the commits, `reading` everything else, `faults` what PostgreSQL's errors mean, `store` the contract.
"""

__all__ = ("POINTS",)

POINTS: tuple[str, ...] = ("postgres.committing", "postgres.committed")
"""The crash points of this backend, in no order."""
