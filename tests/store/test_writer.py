"""The journal's writer: what was checked against something refused is never written."""

import asyncio
import threading
from typing import Any, cast

from holdfast.errors import StoreFull
from holdfast.store.backends.file.entries import Committed
from holdfast.store.backends.file.journal import Journal
from holdfast.store.backends.file.staging import Pending
from holdfast.store.backends.file.writer import Writer
from holdfast.system import SystemThreads


class FullJournal:
    """Refuses the first frame, as a full disk does, and has room for the others."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.refused = threading.Event()

    def append(self, lines: list[bytes], first: int) -> int:
        if not self.refused.is_set():
            self.refused.set()
            raise StoreFull("no room")
        self.written += lines
        return 1


def writer_on(journal: FullJournal, loop: asyncio.AbstractEventLoop, told: list[Any]) -> Writer:
    def tell(batch: Any, *_: Any) -> None:
        told.append([pending.line for pending in batch])

    return Writer(
        cast(Journal, journal), loop, SystemThreads(), settled=tell, refused=tell, failed=tell
    )  # fmt: skip


def pending(number: int) -> Pending:
    return Pending(Committed(number, f"commit-{number}", 0, []), b"%d" % number)


def test_after_a_refusal_that_nobody_heard_of_nothing_is_written() -> None:
    """The loop ends between a refusal and its being told: the commit behind it would leave a gap in the journal."""
    journal, told = FullJournal(), list[Any]()
    loop = asyncio.new_event_loop()
    writer = writer_on(journal, loop, told)
    writer.submit(pending(1))
    assert journal.refused.wait(30)
    writer.submit(pending(2))
    loop.close()
    writer.stop()
    assert (journal.written, told) == ([], [])


def test_after_a_refusal_it_goes_on_once_it_is_told_to() -> None:
    journal, told = FullJournal(), list[Any]()

    async def refused_and_resumed() -> None:
        writer = writer_on(journal, asyncio.get_running_loop(), told)
        writer.submit(pending(1))
        while not told:  # noqa: ASYNC110  # what is told is a callback
            await asyncio.sleep(0)
        writer.submit(pending(2))  # checked against what was refused: dropped
        writer.resume()
        writer.submit(pending(3))
        writer.stop()

    asyncio.run(refused_and_resumed())
    assert journal.written == [b"3"]
