"""A TCP proxy that harms what passes through it: cut, hold, lose the answer. Real sockets on loopback.

    async with Proxy("127.0.0.1", server.port) as proxy:
        proxy.lose_answers = True      # requests pass; the next answer is dropped, and its connection cut

Each harm is applied from the next bytes on.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

__all__ = ("Proxy",)

CHUNK: Final = 65_536

Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]


class Proxy:
    """Listens on a free loopback `port` and passes everything on to a server, both ways.

    `lose_answers`: what comes back is dropped and the connection cut, so that the request was carried out and nobody
    knows. `lose_nth`: only that answer is lost, counted from now on over all connections; it is 0 once it was.
    `halves`: of an answer that is lost the first half comes through. `lose_request`: the next request never arrives.
    `hold`: nothing passes in either direction until it is False again (bytes wait). `refuse`: new connections
    are closed at once. `held` counts connections. `target` is where new ones go: set it, and a failover has moved
    the name.
    """

    def __init__(self, host: str, port: int) -> None:
        self.lose_answers = False
        self.lose_nth = 0
        self.halves = False
        self.lose_request = False
        self.refuse = False
        self.port = 0
        self.lost = 0
        self.never_sent = 0
        self.target = (host, port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def hold(self) -> bool:
        """Whether bytes wait."""
        return not self._flowing.is_set()

    @hold.setter
    def hold(self, value: bool) -> None:
        if value:
            self._flowing.clear()
        else:
            self._flowing.set()

    @property
    def held(self) -> int:
        """How many connections pass through it now."""
        return len(self._pairs)

    def cut(self) -> None:
        """Cut every connection now, with a reset."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drops(self, is_answer: bool) -> bool:
        """Return whether what comes now goes no further, and count it."""
        if is_answer:
            self.lost += (loses := self._loses())
            return loses
        self.never_sent += self.lose_request
        dropped, self.lose_request = self.lose_request, False
        return dropped

    def _loses(self) -> bool:
        if not self.lose_nth:
            return self.lose_answers
        self.lose_nth -= 1
        return self.lose_nth == 0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        if self.refuse:
            for one in (writer, there):
                one.transport.abort()
            return
        pair = (writer, there)
        self._pairs.add(pair)
        for source, sink, is_answer in ((reader, there, False), (there_reader, writer, True)):
            task = asyncio.create_task(self._pass_on(source, sink, pair, is_answer=is_answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: Pair, *, is_answer: bool
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._flowing.wait()
                if self._drops(is_answer):
                    if is_answer and self.halves:
                        sink.write(data[: len(data) // 2])
                    break
                sink.write(data)
                await sink.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a cut connection is what this is for: the other side is told below
        finally:
            self._pairs.discard(pair)
            for writer in pair:
                writer.transport.abort()
