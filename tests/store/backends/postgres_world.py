"""What the tests on PostgreSQL share: one server a session, a namespace a test."""

from collections.abc import Iterator

import pytest

from holdfast.testing.servers.postgres import PostgresServer
from tests.conftest import need_servers

__all__ = ("postgres",)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    need_servers("postgres")
    with PostgresServer() as server:
        yield server
