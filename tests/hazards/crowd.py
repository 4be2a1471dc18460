"""Several processes on one store at once, what they are told, and hands to stop, kill and count them with."""

import asyncio
import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from holdfast.testing.crash import Kill, Life, Nursery
from holdfast.testing.log import Line, read_log
from holdfast.testing.servers.proxy import Proxy
from holdfast.testing.verdict import Verdict, judged
from holdfast.testing.workloads import bank, prepare

LIMIT = 120.0
"""Seconds after which something is taken not to come any more, on however slow a machine."""
LIVES = 200.0
"""Seconds that a process of the bank goes on where nobody ends it: longer than all that is waited for."""


def until(condition: Callable[[], Any], what: str, *, limit: float = LIMIT) -> None:
    """Return when a condition holds; fails where that takes too long."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.005)


class Crowd:
    """A nursery, and threads, so that several children live at once; each `start` returns what will be the life."""

    def __init__(self, count: int, *, preload: Sequence[str] = ()) -> None:
        self.nursery = Nursery(preload=preload)
        self._pool = ThreadPoolExecutor(count)

    def start(self, function: Any, arguments: dict[str, Any], **options: Any) -> "Future[Life]":
        """Call a function in a child of its own, while others live."""
        return self._pool.submit(self.nursery.live, function, arguments, **options)

    def __enter__(self) -> Self:
        self.nursery.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self.nursery.stop()


class Bank:
    """The bank on one store: its processes, their logs, and the verdict at the end; use it as `with`."""

    def __init__(self, crowd: Crowd, url: str, *, seed: int, patches: Sequence[str] = ()) -> None:
        print(f"seed {seed}, {url}")
        self.url = url
        self.seed = seed
        self.lives: list[Future[Life]] = []
        self._crowd = crowd
        self._patches = tuple(patches)
        self._temporary = tempfile.TemporaryDirectory(prefix="holdfast-bank-")
        self._folder = Path(self._temporary.name)
        self._stop = self._folder / "stop"
        self._names = [f"w{i}" for i in range(40)]
        self._fresh = iter(self._names)
        self.logs: list[Path] = []

    def process(
        self,
        writers: int = 2,
        *,
        readers: int = 1,
        kill: Kill | None = None,
        url: str | None = None,
        function: Any = bank,
        patches: Sequence[str] = (),
        **more: Any,
    ) -> int:
        """Start one more process with that many writers (or another `function`); return its number."""
        number = len(self.logs)
        self.logs.append(self._folder / f"{number}.log")
        arguments = {
            "url": url or self.url,
            "log": str(self.logs[-1]),
            "writers": list(itertools.islice(self._fresh, writers)),
            "everyone": self._names,
            "readers": readers,
            "stop": str(self._stop),
            "seed": self.seed,
            "limit": LIVES,
            **more,
        }
        kills = [kill] if kill else []
        self.lives.append(
            self._crowd.start(function, arguments, kills=kills, patches=[*self._patches, *patches])
        )
        return number

    def lines(self, number: int) -> list[Line]:
        """Return what a process has logged."""
        return read_log(self.logs[number])

    def pid(self, number: int) -> int:
        """Return the id of a process, once it is there."""
        until(lambda: self.lines(number) or self.lives[number].done(), "a process of the bank has begun")
        return int(self.lines(number)[0].detail)

    def acknowledged(self, number: int | None = None) -> int:
        """Return how many commits were acknowledged so far, to one process or in all."""
        chosen = range(len(self.logs)) if number is None else [number]
        return sum(line.what == "acknowledged" for one in chosen for line in self.lines(one))

    def troubled(self, number: int) -> int:
        """Return how many tries of a process did not succeed, for another reason than a conflict."""
        return sum(line.what in ("unknown", "failed", "away") for line in self.lines(number))

    def told(self, *whats: str) -> int:
        """Return how many such lines there are in all logs: "unknown", say."""
        return sum(line.what in whats for number in range(len(self.logs)) for line in self.lines(number))

    def settled(self) -> bool:
        """Return whether of some commit that was unknown it has become known what became of it."""
        lines = [line for number in range(len(self.logs)) for line in self.lines(number)]
        known = {line.commit_id for line in lines if line.what in ("acknowledged", "refused")}
        return any(line.what == "unknown" and line.commit_id in known for line in lines)

    def more(self, count: int, *, number: int | None = None) -> None:
        """Return when so many more commits have been acknowledged."""
        goal = self.acknowledged(number) + count
        until(lambda: self.acknowledged(number) >= goal or self._failed(), f"{count} more commits")
        assert not self._failed(), self._failed()

    def begun(self) -> None:
        """Return when every process has been told of a commit: all have the store open."""
        for number in range(len(self.logs)):
            self.more(max(0, 1 - self.acknowledged(number)), number=number)

    def tried(self, count: int, *, number: int) -> None:
        """Return when a process has been told something that many times more: that it is done, or is not."""
        goal = self.acknowledged(number) + self.troubled(number) + count

        def enough() -> bool:
            return self.acknowledged(number) + self.troubled(number) >= goal or bool(self._failed())

        until(enough, f"{count} more tries")
        assert not self._failed(), self._failed()

    def _failed(self) -> list[Life]:
        done = [life.result() for life in self.lives if life.done()]
        return [life for life in done if life.ended in ("raised", "hung")]

    def end(self) -> None:
        """Let all processes end, and wait for that."""
        self._stop.touch()
        for life in self.lives:
            life.result(timeout=LIMIT)
        assert not self._failed(), self._failed()

    def verdict(self) -> Verdict:
        """End, and return the verdict on what the store holds."""
        self.end()
        verdict = asyncio.run(judged(self.url, self.logs))
        print(verdict.counts)
        return verdict

    def __enter__(self) -> Self:
        try:
            asyncio.run(prepare(self.url))
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.touch()
        for number, life in enumerate(self.lives):
            if not life.done() and (lines := self.lines(number)):
                send(lines[0].detail, signal.SIGCONT)
        try:
            for life in self.lives:
                life.result(timeout=LIMIT)
        finally:
            self._temporary.cleanup()


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has stopped a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


@contextmanager
def proxied(url: str, port: int) -> Iterator[tuple[str, "Harm"]]:
    """Yield a URL that leads to the server at `port` through a proxy, and a hand on the proxy."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    proxy = Proxy("127.0.0.1", port)
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(LIMIT)
        yield url.replace(f":{port}", f":{proxy.port}"), Harm(proxy, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), loop).result(LIMIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Harm:
    """A proxy in another thread."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop

    @property
    def lost(self) -> int:
        """How many answers were lost."""
        return self._proxy.lost

    def set(self, name: str, value: bool) -> None:
        """Set `lose_answers`, `hold` or `refuse`."""
        self._call(lambda: setattr(self._proxy, name, value))

    def cut(self) -> None:
        """Cut all connections."""
        self._call(self._proxy.cut)

    def _call(self, work: Callable[[], None]) -> None:
        async def there() -> None:
            work()

        asyncio.run_coroutine_threadsafe(there(), self._loop).result(LIMIT)
