"""Ways of trying that are of the evidence's own, on stores that are sound and on liars, which they must notice."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from holdfast.errors import Unavailable
from holdfast.store import Change, CommitId, open_store
from holdfast.store.wrappers.base import Wrapper
from holdfast.testing.conformance.case import Bench, Case
from holdfast.testing.conformance.clients import Client, history_of
from holdfast.testing.conformance.looking import look
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.evidence.plays.controls import TESTS, heard
from holdfast.testing.evidence.plays.histories import cancelled, history, tasks
from holdfast.testing.evidence.plays.network import QUICK, harmed_by
from holdfast.testing.evidence.versions import ROOT
from holdfast.testing.evidence.ways import Found
from holdfast.testing.linear import failing
from holdfast.testing.log import Log
from holdfast.testing.own_adapter import store_of
from holdfast.testing.servers.redis import RedisServer
from tests.testing_conformance.liars import Dirty, IgnoresExpectations, Serial, Torn, in_memory


def subject(kind: type[object]) -> Subject:
    return Subject.of_factory(in_memory(kind.__name__), name=kind.__name__)


def made(kind: Callable[[Case], Awaitable[None]], on: Subject, seed: int = 1) -> Found:
    with Bench() as bench:
        return history(kind, on, bench, seed)


@pytest.mark.parametrize("kind", [tasks, cancelled])
def test_a_history_of_a_sound_store(kind: Callable[[Case], Awaitable[None]]) -> None:
    found = made(kind, subject(Serial))
    assert (found.broken, found.counts["histories broken"]) == ((), 0)
    assert (
        found.counts.get("histories", 0) + found.counts.get("undecided", 0) == 1
    )  # by what was cancelled when
    assert 380 < found.counts["operations"] < 480


@pytest.mark.parametrize("liar", [IgnoresExpectations, Torn, Dirty])
def test_a_history_of_a_liar(liar: type[object]) -> None:
    found = made(tasks, subject(liar))
    assert found.counts["histories broken"] == 1
    assert "no order of whole commits" in found.broken[0] or "the stream" in found.broken[0], found


def test_what_clients_write_down_is_their_history_whatever_comes(tmp_path: Path) -> None:
    async def run() -> Client:
        async with open_store("memory:") as store:
            client = Client(store, "c", ["a", "b"], seed="1", log=Log(tmp_path / "log"))
            await client.run(30)
            return client

    client = asyncio.run(run())
    whole = history_of(tmp_path / "log")
    assert whole == client.history
    lines = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    asked = [at for at, line in enumerate(lines) if b'"asked"' in line]
    (tmp_path / "log").write_bytes(b"".join(lines[: asked[-1] + 1]))  # killed while it waited for that answer
    cut = history_of(tmp_path / "log")
    assert [one.end for one in cut].count(None) >= 1
    assert failing(cut) is None


class Optimist(Wrapper):
    """Says that it is done where it does not know."""

    async def commit(
        self, changes: Sequence[Change], commit_id: CommitId | None = None, *, vital: bool = False
    ) -> CommitId:
        try:
            return await self.inner.commit(changes, commit_id=commit_id, vital=vital)
        except Unavailable:
            return str(commit_id)


def optimist(*, url: str, namespace: str) -> Wrapper:
    return Optimist(store_of(f"{url}&namespace={namespace}"))


@pytest.mark.crash
@pytest.mark.server("redis")
def test_networks_that_lose_requests_and_a_store_that_hopes() -> None:
    losing = harmed_by(*["requests lost"] * 8)
    with RedisServer() as server:
        honest = Subject.of_url(server.url, server=server)
        honest.found = asyncio.run(look(honest))
        found = made(losing, honest)
        assert (found.broken, found.counts["requests lost"]) == ((), 8)
        url = f"{server.url}?{QUICK}"
        liar = Subject.of_call("tests.testing_evidence.test_plays:optimist", {"url": url}, server=server)
        said: tuple[str, ...] = ()
        for seed in range(20):  # a request that is lost may be one of a read, or be sent again in time
            if said := made(losing, liar, seed).broken:
                break
        assert said, "a lost commit was not noticed"
        assert all("is not in the stream" in line or "no order of whole commits" in line for line in said), (
            said
        )


REPORT = """<testsuites><testsuite name="pytest">
<testcase classname="t" name="noticed"/>
<testcase classname="t" name="missed"><failure message="assert not []"/></testcase>
<testcase classname="t" name="lacking"><skipped message="no strace"/></testcase>
</testsuite></testsuites>"""


def test_controls_are_tests_that_are_there_and_a_missed_one_is_a_finding() -> None:
    for name in TESTS:
        path, _, function = name.partition("::")
        assert f"def {function or 'test_'}" in (ROOT / path).read_text()
    found = heard(REPORT, "1 failed")
    assert found.counts == {"runs": 1, "noticed": 1, "skipped": 1, "not noticed": 1}
    assert found.broken == ("not noticed: t missed", "1 failed")
    assert heard("<testsuites/>", "an error").broken == ("no test was run: an error",)
