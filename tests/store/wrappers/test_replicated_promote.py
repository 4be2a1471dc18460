"""What becomes of replicas that part from their primary, and of a replica that becomes it."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast.errors import Diverged, InvalidOption, StoreInUse, Unavailable, Unsupported, WentBack
from holdfast.store import Append, Key, Put, Store, open_store
from holdfast.store.guard import GUARD
from holdfast.store.wrappers.replicated import (
    Replicated,
    accept_loss,
    forget,
    promote,
    replicated,
    status,
    unreplicate,
)
from holdfast.store.wrappers.replicated.follower import Follower
from holdfast.store.wrappers.replicated.records import LOSS, Aside, role_of
from tests.store.contract import everything
from tests.store.wrappers.replicas import A, Down, equal, held, pair, write


async def erring(store: Replicated) -> Exception:
    """Wait until the first replica does not follow, and return why."""
    for _ in range(10_000):
        if store.followers[0].error is not None:
            return store.followers[0].error
        await asyncio.sleep(0.01)
    raise AssertionError("it follows")


async def filled(folder: Path, count: int = 30) -> tuple[str, str]:
    """Return the URLs of a primary and its replica, equal and closed."""
    urls = pair(folder)
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, count)
        assert await store.caught_up()
    return urls


# ------------------------------------------------------------ diverged


async def test_a_replica_with_something_in_it_is_not_overwritten() -> None:
    one, two = open_store("memory:"), open_store("memory:")
    async with two:
        await two.commit([Put(A, "somebody else's"), Append("history.one", 1)])
        before = await held(two)
    async with replicated(one, [two]) as store:
        await write(store, 5)
        assert isinstance(await erring(store), Diverged)
        assert "not empty" in (await store.lag())[0].error  # type: ignore[operator]
        [verified] = await store.verify()
        assert not verified.equal
        assert await held(two) == before


async def test_a_replica_of_another_primary_is_left_alone() -> None:
    mine, other, two = (open_store("memory:") for _ in range(3))
    async with replicated(other, [two]) as store:
        await write(store, 5)
        await store.caught_up()
        before = await held(two)
    async with replicated(mine, [two]) as store:
        await write(store, 9)
        assert "another replication" in str(await erring(store))
        await two.open()
        assert await held(two) == before


async def test_two_primaries_that_name_each_other_are_found() -> None:
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(two, []):
        pass
    async with replicated(one, [two]) as store:
        assert isinstance(await erring(store), Diverged)


async def test_what_was_written_into_a_replica_behind_its_back_is_found(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    with sqlite3.connect(tmp_path / "two.db") as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        [table] = [t for t in tables if "record" in t]
        changed = raw.execute(f"DELETE FROM {table} WHERE entity_id = 'S1'").rowcount
    raw.close()
    assert changed == 1
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        [verified] = await store.verify()
        assert len(verified.differences) == 1
        assert "signal.one/S1" in verified.differences[0]


async def test_a_primary_that_went_back_is_found_and_nothing_is_applied(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    shutil.copy(tmp_path / "one.db", tmp_path / "backup")
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, 20, first=30)
        await store.caught_up()
        before = await held(store.followers[0].store)
    for name in ("one.db-wal", "one.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", tmp_path / "one.db")
    for more in (0, 40):  # behind the replica, and past it with other commits
        async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
            assert "has commits that its primary does not have" in str(await erring(store))
            await write(store, more, first=100)
            assert await held(store.followers[0].store) == before


async def test_a_replica_that_went_back_catches_up_or_is_found(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    shutil.copy(tmp_path / "two.db", tmp_path / "backup")
    one, two = open_store(urls[0]), open_store(urls[1])
    async with replicated(one, [two]) as store:
        await write(store, 20, first=30)
        await store.caught_up()
    for name in ("two.db-wal", "two.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", tmp_path / "two.db")
    async with replicated(one, [open_store(urls[1])]) as store:  # what it needs was acknowledged, and is gone
        assert "gone back" in str(await erring(store))


async def test_re_seeding_keeps_what_was_there(tmp_path: Path) -> None:
    one, two, fresh = open_store("memory:"), open_store("memory:"), open_store("memory:?namespace=fresh")
    async with two:
        await two.commit([Put(A, "somebody else's")])
        before = await held(two)
    async with replicated(one, [two]) as store:
        await write(store, 50)
        await erring(store)
        await store.reseed(two, fresh)
        await equal_values(store, fresh)
        await write(store, 50, first=50)
        await equal_values(store, fresh)
    async with two:
        assert await held(two) == before
        with pytest.raises(Unsupported):
            await two.commit([Put(A, 1)])
        [guard] = await two.get(GUARD)
        assert guard is not None
        assert isinstance(role_of(guard.value), Aside)
    async with replicated(one, [two]) as store:
        assert "took its place" in str(await erring(store))
    async with replicated(one, [fresh]) as store:
        await equal_values(store, fresh)


async def equal_values(store: Replicated, replica: Store) -> None:
    assert await store.caught_up()
    [verified] = await store.verify()
    assert verified.equal, verified
    assert verified.records


async def test_a_forgotten_replica_is_owed_nothing_and_told_so() -> None:
    one, two = open_store("memory:"), Down(open_store("memory:"))
    async with replicated(one, [two], poll=0.05) as store:
        await write(store, 10)
        await store.caught_up()
        two.down = True
        await write(store, 10, first=10)
        await store.forget(store.followers[0].standing.at.name)
        assert not await everything(one.scan("holdfast.replication.owed"))
        two.down = False
        await erring(store)
        async with asyncio.timeout(100):
            while "forgotten" not in str(await erring(store)):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)


# ------------------------------------------------------------ promoting


async def test_promote_with_the_old_primary_at_hand(tmp_path: Path) -> None:
    """It is fenced, in processes that have it open, too; what the replica lacks is taken from it."""
    urls = await filled(tmp_path)
    async with replicated(open_store(urls[0]), []) as running, open_store(urls[0]) as bare:
        await write(running, 40, first=30)  # the replica is 40 behind
        expected = await held(running)
        done = await promote(open_store(urls[1]), old=open_store(urls[0]))
        assert (done.epoch, done.number, done.loss) == (2, 70, None)
        for _ in range(2):
            with pytest.raises(Unavailable, match="was promoted") as refused:
                await running.commit([Put(A, "too late")])
            assert not refused.value.unknown
            assert not refused.value.retryable
        with pytest.raises(Unsupported):
            await bare.commit([Put(A, "too late")])
    with pytest.raises(Unavailable, match=r"two\.db"):
        await open_store(urls[0] + "?replica=memory%3A").open()
    assert await promote(open_store(urls[1]), old=open_store(urls[0])) == done, (
        "doing it again changes nothing"
    )
    async with replicated(open_store(urls[1]), [open_store(f"sqlite:///{tmp_path}/three.db")]) as store:
        assert await held(store) == expected
        await write(store, 10, first=70)
        await equal_values(store, store.followers[0].store)
        assert not any("promoted" in warning for warning in store.warnings if "Compare" in warning)


async def test_promote_with_the_old_primary_gone(tmp_path: Path) -> None:
    """What may be missing is told to the run that opens it, until a person has accepted it."""
    urls = await filled(tmp_path)
    old = Down(open_store(urls[0]))
    old.down = True
    done = await promote(open_store(urls[1]), old=old)
    assert done.loss is not None
    assert done.loss.number == 30
    for _ in range(2):  # each process is told
        async with replicated(open_store(urls[1]), []) as store:
            assert any("Compare with the exchange" in warning for warning in store.warnings)
            with pytest.raises(WentBack, match="missing here"):
                await store.commit([Put(A, 1)])
            await store.commit([Put(A, "halted")])  # the run that was told halts, and may say so
    async with replicated(open_store(urls[1]), []) as store:
        await store.accept_loss()
        await store.commit([Put(A, 1)])
    async with replicated(open_store(urls[1]), []) as store:
        await store.commit([Put(A, 2)])
        assert (await store.inner.get(LOSS)) == [None]


async def test_an_old_primary_that_comes_back_fences_itself(tmp_path: Path) -> None:
    """It was not reachable when its replica was promoted: the first it hears of that replica ends it."""
    urls = await filled(tmp_path)
    await promote(open_store(urls[1]))
    with pytest.raises(Unavailable, match="was promoted"):
        await replicated(open_store(urls[0]), [open_store(urls[1])]).open()
    async with open_store(urls[0]) as bare:
        with pytest.raises(Unsupported):
            await bare.commit([Put(A, 1)])


async def test_a_running_old_primary_is_ended_by_its_first_commit_after(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await store.caught_up()
        await promote(open_store(urls[1]))
        await store.commit(
            [Put(A, "in no history")]
        )  # nobody could know yet: the loss says that there may be such
        await erring(store)
        with pytest.raises(Unavailable, match="was promoted"):
            await store.commit([Put(A, 2)])


async def test_missing_commits_are_counted_as_far_as_known(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    two = Down(open_store(urls[1]))
    async with replicated(open_store(urls[0]), [two]) as store:
        await store.caught_up()
        two.down = True
        await write(store, 10, first=30)
    done = await promote(open_store(urls[1]))
    assert done.loss is not None
    assert done.loss.number == 30
    assert done.loss.at_least == 0, "the replica was never told of those: only the exchange can"


async def test_a_sibling_that_is_level_follows_the_promoted_one(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{n}.db" for n in range(3)]
    async with replicated(open_store(urls[0]), [open_store(url) for url in urls[1:]]) as store:
        await write(store, 30)
        assert await store.caught_up()
    await promote(open_store(urls[1]), old=open_store(urls[0]))
    async with replicated(open_store(urls[1]), [open_store(urls[2])]) as store:
        await write(store, 30, first=30)
        await equal(store, store.followers[0].store)


async def test_a_sibling_that_is_ahead_of_the_promoted_one_is_found(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{n}.db" for n in range(3)]
    async with replicated(open_store(urls[0]), [open_store(url) for url in urls[1:]]) as store:
        await write(store, 30)
        assert await store.caught_up()
    async with replicated(open_store(urls[0]), [open_store(urls[2])]) as store:
        await write(store, 5, first=30)
        assert await store.caught_up()
    await promote(open_store(urls[1]))
    async with replicated(open_store(urls[1]), [open_store(urls[2])]) as store:
        assert "re-seed" in str(await erring(store))


async def test_what_cannot_be_promoted(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    with pytest.raises(Unsupported, match="no replica"):
        await promote(open_store("memory:"))
    with pytest.raises(Unsupported, match="is the primary"):
        await promote(open_store(urls[0]))
    with pytest.raises(Unsupported, match="not the primary of"):
        await promote(open_store(urls[1]), old=open_store("memory:"))
    with pytest.raises(Unsupported, match="is a replica"):
        await replicated(open_store(urls[1]), []).open()
    with pytest.raises(Unsupported, match="is a replica"):
        await unreplicate(open_store(urls[1]))
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        assert (await store.verify())[0].equal, "nothing was changed by any of it"


async def test_an_old_primary_that_a_process_has_for_itself_is_not_promoted_past(tmp_path: Path) -> None:
    urls = pair(tmp_path, "file")
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, 5)
        await store.caught_up()
    async with replicated(open_store(urls[0]), []):
        with pytest.raises(StoreInUse):
            await promote(open_store(urls[1]), old=open_store(urls[0]))
    done = await promote(open_store(urls[1]), old=open_store(urls[0]))
    assert done.loss is None


async def test_an_unfinished_copy_is_not_promoted(tmp_path: Path) -> None:
    one, two = open_store("memory:"), Down(open_store("memory:"))
    async with one:
        for n in range(500):
            await one.commit([Put(Key("wide", f"{n}"), n)])

    async with replicated(one, [two], poll=0.01) as store:
        assert await store.caught_up()
    three = Limited(open_store("memory:"))
    async with replicated(one, [three], poll=0.01) as store:
        await erring(store)
    with pytest.raises(Unsupported, match="not a whole copy"):
        await promote(three.inner, old=one)
    three.most = 1000
    async with replicated(one, [three]) as store:
        assert await store.caught_up()
        assert (await store.verify())[0].equal, "the copy goes on where it was"


class Limited(Down):
    """Goes down after a few commits."""

    most = 2

    def _check(self) -> None:
        self.down = self.commits >= self.most
        super()._check()


async def test_a_second_promotion_hands_a_loss_on(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{n}.db" for n in range(3)]
    async with replicated(open_store(urls[0]), [open_store(urls[1])]) as store:
        await write(store, 5)
        assert await store.caught_up()
    await promote(open_store(urls[1]))
    async with replicated(open_store(urls[1]), [open_store(urls[2])]) as store:
        assert await store.caught_up()
    done = await promote(open_store(urls[2]), old=open_store(urls[1]))
    assert done.loss is not None
    assert "lost commits" in done.loss.reason


async def test_a_replica_that_failed_is_opened_anew(tmp_path: Path) -> None:
    one, two = open_store("memory:"), Counting(open_store(f"file:{tmp_path}/two"))
    async with replicated(one, [two], poll=0.01) as store:
        await store.caught_up()
        two.down = True
        await write(store, 5)
        await erring(store)
        two.down = False
        assert await store.caught_up()
        assert two.closed, "a file store whose flush failed is mended by opening it again"


class Counting(Down):
    """Counts how often it was closed."""

    closed = 0

    async def close(self) -> None:
        await super().close()
        self.closed += 1


async def test_a_replica_that_fails_while_it_is_promoted_gives_up_nothing(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    async with replicated(open_store(urls[0]), []) as store:
        await write(store, 40, first=30)
    failing = Limited(open_store(urls[1]))
    with pytest.raises(Unavailable):
        await promote(failing, old=open_store(urls[0]))
    done = await promote(open_store(urls[1]), old=open_store(urls[0]))
    assert done.loss is None
    assert done.number == 70


async def test_what_should_not_happen_to_a_follower_is_seen_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = open_store("memory:"), open_store("memory:")
    async with replicated(one, [two], poll=0.01) as store:
        await store.caught_up()

        async def broken(self: Follower, page: object) -> bool:
            raise KeyError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(Follower, "_applied", broken)
            await write(store, 5)
            assert isinstance(await erring(store), KeyError)
        await equal(store, two)


# ------------------------------------------------------------ by hand


async def test_an_unaccepted_loss_keeps_replication_from_being_ended(tmp_path: Path) -> None:
    """A bare open tells nobody of it: so there is none before a person has accepted it."""
    urls = await filled(tmp_path)
    done = await promote(open_store(urls[1]))
    with pytest.raises(Unsupported, match="not accepted"):
        await unreplicate(open_store(urls[1]))
    async with open_store(urls[1]) as bare:
        with pytest.raises(Unsupported, match="guarded"):
            await bare.commit([Put(A, 1)])
    async with replicated(open_store(urls[1]), []) as store:
        with pytest.raises(WentBack):
            await store.commit([Put(A, 1)])
    assert await accept_loss(open_store(urls[1])) == done.loss
    assert await accept_loss(open_store(urls[1])) is None
    await unreplicate(open_store(urls[1]))
    async with open_store(urls[1]) as bare:
        await bare.commit([Put(A, 1)])


async def test_a_replica_is_forgotten_by_name_or_place(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    primary = open_store(urls[0])
    with pytest.raises(InvalidOption, match=r"knows no replica 'nobody'; it knows: \S+ \(sqlite:.*two\.db\)"):
        await forget(primary, "nobody")
    with pytest.raises(InvalidOption):
        await forget(primary, open_store(urls[1]).url, "another")
    [member] = await forget(primary, open_store(urls[1]).url)
    assert member.acknowledged == 30
    async with primary:
        assert (await status(primary)).members == {}


async def test_by_hand_nothing_is_made_a_primary_that_is_none(tmp_path: Path) -> None:
    urls = await filled(tmp_path)
    plain = open_store(f"sqlite:///{tmp_path}/plain.db")
    for store, said in ((plain, "not replicated"), (open_store(urls[1]), "is a replica")):
        with pytest.raises(Unsupported, match=said):
            await accept_loss(store)
        with pytest.raises(Unsupported, match=said):
            await forget(store, "x")
    async with plain:
        await plain.commit([Put(A, 1)])


async def test_whoever_asks_for_all_of_it_gets_nothing_less(tmp_path: Path) -> None:
    """The old primary answered when somebody looked, and not when it came to it."""
    urls = await filled(tmp_path)
    old = Down(open_store(urls[0]))
    old.down = True
    with pytest.raises(Unavailable, match="was not promoted"):
        await promote(open_store(urls[1]), old=old, complete=True)
    with pytest.raises(Unavailable, match="was not promoted"):
        await promote(open_store(urls[1]), complete=True)
    old.down = False
    assert (await promote(open_store(urls[1]), old=old, complete=True)).loss is None


async def test_a_replica_that_parted_has_not_caught_up() -> None:
    one, two = open_store("memory:"), open_store("memory:")
    async with two:
        await two.commit([Put(A, "somebody else's")])
    async with replicated(one, [two]) as store:
        await erring(store)
        assert not await store.caught_up(seconds=0.01)
