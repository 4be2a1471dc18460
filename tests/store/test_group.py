"""Group commit: in order, one batch at a time, and an answer for everyone, whatever is cancelled or raised."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Conflict, InvalidKey, InvalidValue, NotOpen, Unavailable
from holdfast.store import Append, Key, Put
from holdfast.store.group import GroupCommit, Outcome, Request


class Slow:
    """Writes a batch when it is told to, and knows what it wrote."""

    def __init__(self, *, open_gate: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.running = 0
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.raises: BaseException | None = None
        if open_gate:
            self.gate.set()

    async def write(self, batch: Sequence[Request]) -> Sequence[Outcome]:
        self.running += 1
        assert self.running == 1
        self.batches.append([request.commit_id for request in batch])
        self.begun.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.raises is not None:
            raise self.raises
        return [
            Conflict("no", key=request.commit_id) if "bad" in request.commit_id else None for request in batch
        ]


def asked(group: GroupCommit, *names: str) -> list[asyncio.Task[str]]:
    return [asyncio.ensure_future(group.commit(Request([Append("s", 1)], name))) for name in names]


async def answers(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    """Return results and errors; a task that is never answered fails the test."""
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 100)


async def test_what_waits_is_written_together_and_in_order() -> None:
    slow = Slow()
    group = GroupCommit(slow.write, most=3)
    first = asked(group, "a")
    await slow.begun.wait()
    others = asked(group, *"bcdefgh")
    await asyncio.sleep(0)
    slow.gate.set()
    assert await answers(first + others) == list("abcdefgh")
    assert slow.batches == [["a"], ["b", "c", "d"], ["e", "f", "g"], ["h"]]


async def test_one_alone_is_written_alone_at_once() -> None:
    slow = Slow(open_gate=True)
    group = GroupCommit(slow.write)
    for name in "abc":
        assert await group.commit(Request([], name)) == name
    assert slow.batches == [["a"], ["b"], ["c"]]


async def test_each_gets_its_own_outcome() -> None:
    slow = Slow(open_gate=True)
    results = await answers(asked(GroupCommit(slow.write), "a", "bad", "c"))
    assert results[0] == "a"
    assert isinstance(results[1], Conflict)
    assert results[1].key == "bad"
    assert results[2] == "c"


async def test_cancelled_while_waiting_is_taken_back() -> None:
    slow = Slow()
    group = GroupCommit(slow.write)
    tasks = asked(group, "a")
    await slow.begun.wait()
    tasks += asked(group, "b", "c")
    await asyncio.sleep(0)
    tasks[1].cancel()
    slow.gate.set()
    results = await answers(tasks)
    assert [type(result) for result in results] == [str, asyncio.CancelledError, str]
    assert slow.batches == [["a"], ["c"]]


async def test_cancelled_while_written_goes_on() -> None:
    slow = Slow()
    group = GroupCommit(slow.write)
    tasks = asked(group, "a", "b")
    await slow.begun.wait()
    tasks[0].cancel()
    await asyncio.sleep(0)
    slow.gate.set()
    assert [type(result) for result in await answers(tasks)] == [asyncio.CancelledError, str]
    assert slow.batches == [["a", "b"]]


class Odd(Exception):
    """An error that cannot be made from its own arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@pytest.mark.parametrize(
    "error",
    [Unavailable("gone", unknown=True), OSError(5, "EIO"), Odd("a", "b"), UnicodeDecodeError("ascii", b"x", 0, 1, "y")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_where_writing_raises_everyone_of_the_batch_is_told(error: Exception) -> None:
    slow = Slow(open_gate=True)
    error.__cause__ = ValueError("why")
    slow.raises = error
    group = GroupCommit(slow.write)
    tasks = asked(group, "a", "b", "c")
    results = await answers(tasks)
    assert [(type(result), str(result), result.__cause__) for result in results] == [
        (type(error), str(error), error.__cause__)
    ] * 3
    assert getattr(results[0], "facts", None) == getattr(error, "facts", None)
    slow.raises = None
    assert await answers(asked(group, "d")) == ["d"], "the next batch is written"


async def test_each_has_a_traceback_of_his_own() -> None:
    slow = Slow(open_gate=True)
    slow.raises = Unavailable("gone")
    results = await answers(asked(GroupCommit(slow.write), "a", "b"))
    assert results[0] is not results[1]


async def test_too_few_outcomes_leave_nobody_waiting() -> None:
    async def write(batch: Sequence[Request]) -> Sequence[Outcome]:
        return [None]

    results = await answers(asked(GroupCommit(write), "a", "b"))
    assert results[0] == "a"
    assert isinstance(results[1], ValueError)


async def test_all_tasks_cancelled_leaves_nobody_waiting() -> None:
    """As asyncio.run does at its end: also the task that writes."""
    slow = Slow()
    group = GroupCommit(slow.write, most=2)
    tasks = asked(group, "a", "b", "c", "d")
    await slow.begun.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    results = await answers(tasks)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    slow.gate.set()
    assert await answers(asked(group, "e")) == ["e"]


async def test_the_writing_task_cancelled_alone() -> None:
    """What was being written is unknown, what only waited certainly did not happen."""
    slow = Slow()
    group = GroupCommit(slow.write, most=2)
    tasks = asked(group, "a", "b", "c")
    await slow.begun.wait()
    (writing,) = [task for task in asyncio.all_tasks() if task.get_name() == "holdfast-group-commit"]
    writing.cancel()
    results = await answers(tasks)
    assert [(type(result), result.unknown) for result in results] == [
        (Unavailable, True), (Unavailable, True), (Unavailable, False),
    ]  # fmt: skip
    slow.gate.set()
    assert await answers(asked(group, "d")) == ["d"]
    assert slow.batches == [["a", "b"], ["d"]]


async def test_close_drains_and_refuses() -> None:
    slow = Slow()
    group = GroupCommit(slow.write, most=1)
    tasks = asked(group, "a", "b", "c")
    await slow.begun.wait()
    closing = asyncio.ensure_future(group.close())
    await asyncio.sleep(0)
    with pytest.raises(NotOpen):
        await group.commit(Request([], "late"))
    closing.cancel()
    await asyncio.sleep(0)
    assert not closing.done(), "they still use what would be taken from them"
    slow.gate.set()
    assert await answers([*tasks, closing])
    assert closing.cancelled()
    assert slow.batches == [["a"], ["b"], ["c"]]
    await group.close()


async def test_nothing_is_said_of_what_nobody_waits_for() -> None:
    """A caller who leaves as his error arrives leaves no "exception was never retrieved" behind."""
    said: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    slow = Slow()
    slow.raises = Unavailable("gone")
    tasks = asked(GroupCommit(slow.write), "a")
    await slow.begun.wait()
    slow.gate.set()
    await asyncio.sleep(0)
    tasks[0].cancel()
    await answers(tasks)
    del tasks
    gc.collect()
    assert said == []


def test_a_request_is_checked_when_it_is_made() -> None:
    async def made(changes: Any, commit_id: Any) -> None:
        Request(changes, commit_id)

    for changes, commit_id, error in (
        ([Put(Key("a", "b"), float("nan"))], "x", InvalidValue),
        ([Put(Key("", "b"), 1)], "x", InvalidKey),
        ([], "", InvalidKey),
    ):
        with pytest.raises(error):
            asyncio.run(made(changes, commit_id))


STEP = st.sampled_from(["ask", "cancel", "let", "pass"])


@given(steps=st.lists(st.tuples(STEP, st.integers(0, 9)), max_size=40), most=st.integers(1, 4))
def test_any_order_of_events(steps: list[tuple[str, int]], most: int) -> None:
    """Each request is written at most once, in the order of asking; each that was not cancelled is answered."""

    async def run() -> None:
        turns = asyncio.Semaphore(0)
        written: list[int] = []

        async def write(batch: Sequence[Request]) -> Sequence[Outcome]:
            await turns.acquire()
            written.extend(int(request.commit_id) for request in batch)
            return [None] * len(batch)

        group = GroupCommit(write, most=most)
        tasks: list[asyncio.Task[str]] = []
        for step, which in steps:
            if step == "ask":
                tasks += asked(group, str(len(tasks)))
            elif step == "cancel" and tasks:
                tasks[which % len(tasks)].cancel()
            elif step == "let":
                turns.release()
            else:
                await asyncio.sleep(0)
        for _ in range(len(tasks) + 1):
            turns.release()
        results = await answers(tasks)
        await group.close()
        assert written == sorted(set(written))
        answered = [
            number for number, result in enumerate(results) if not isinstance(result, asyncio.CancelledError)
        ]
        assert [results[number] for number in answered] == [str(number) for number in answered]
        assert set(answered) <= set(written)

    asyncio.run(run())
