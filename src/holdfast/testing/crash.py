"""The crash harness: runs a bot in a real process, kills it with SIGKILL at any instant, and starts it again.

    with Nursery() as nursery:
        story = nursery.live_on("my_bots:trade", {"url": url}, kills=[Kill(point="orders.sending", nth=1)])
        assert story.last.ended == "returned"

The function is named as "module:name" and takes JSON arguments; it is called in a child that was forked for it.
A crash point is an instant that is named in the code (`holdfast.points`): the child kills itself there, from
whichever thread reaches it. `Kill(after=…)` kills it from outside. Nothing is mocked: what the child has done to
files and sockets is done.
"""

import itertools
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import HoldfastError
from holdfast.testing.nursery import LIMIT, Answer, Kill, Life, Request, known_points

__all__ = ("Kill", "Life", "NotDone", "Nursery", "Story", "known_points", "reference")

Function = str | Callable[..., Any]


class NotDone(HoldfastError):
    """A bot did not come to its end: it hung, raised, or was restarted too often (`story`)."""


class Story(Struct, frozen=True, kw_only=True):
    """The lives of one bot, in order: all but the last were cut short."""

    lives: tuple[Life, ...]

    @property
    def last(self) -> Life:
        """The life that came to an end by itself."""
        return self.lives[-1]

    @property
    def kills(self) -> int:
        """How many lives were ended by SIGKILL."""
        return sum(life.ended == "killed" for life in self.lives)

    @property
    def reached(self) -> Counter[str]:
        """How often each point was reached, over all lives."""
        return Counter(point for life in self.lives for point in life.reached)

    @property
    def died_at(self) -> tuple[str, ...]:
        """The last point that each killed life had reached."""
        return tuple(life.died_at for life in self.lives if life.ended == "killed")


def reference(function: Function) -> str:
    """Return the "module:name" of a function that a child process can import."""
    if isinstance(function, str):
        return function
    return f"{function.__module__}:{function.__qualname__}"


class Nursery:
    """A process that forks bots on demand; use it as `with`. Its methods block; each thread may have a bot alive.

    `preload` are modules that every bot will have imported already, besides Holdfast's: drivers take a while.
    """

    def __init__(self, *, path: Sequence[str] = (), preload: Sequence[str] = ()) -> None:
        self._path = [*path, *sys.path]
        self._preload = tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Life]] = {}
        self._listener: threading.Thread | None = None
        self.killed = 0
        """How many lives were ended by SIGKILL."""

    def start(self) -> None:
        """Start the process; starting it twice changes nothing."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, our own module
                [sys.executable, "-m", "holdfast.testing.nursery", *self._preload],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours: it ends when we close its stdin
                # One thread: a process with more than one cannot be forked safely.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(self._path)},
            )
            self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
            self._listener.start()

    def stop(self) -> None:
        """End the process, and every bot that is alive."""
        with self._lock:
            process, self._process = self._process, None
        if process is None or process.stdin is None or self._listener is None:
            return
        process.stdin.close()
        process.wait()
        self._listener.join()

    def live(
        self,
        function: Function,
        arguments: Mapping[str, Any] | None = None,
        *,
        kills: Iterable[Kill] = (),
        patches: Sequence[str] = (),
        limit: float = LIMIT,
    ) -> Life:
        """Call a function in a child of its own, to its end or to the first of `kills`, and return how that went.

        `patches` are functions without arguments that the child calls first: for negative controls.
        """
        request = Request(
            function=reference(function),
            arguments=dict(arguments or {}),
            kills=tuple(kills),
            patches=tuple(patches),
            limit=limit,
        )
        return self._ask(request)

    def live_on(
        self,
        function: Function,
        arguments: Mapping[str, Any] | None = None,
        *,
        kills: Iterable[Kill | Sequence[Kill]] = (),
        patches: Sequence[str] = (),
        limit: float = LIMIT,
    ) -> Story:
        """Let a bot live, be killed, and live again: one of `kills` for each life, then one life without.

        A life that ends by itself before its kill ends the story. Raises NotDone where a life raises or hangs.
        """
        lives = []
        for kill in [*kills, ()]:
            due = (kill,) if isinstance(kill, Kill) else tuple(kill)
            lives.append(self.live(function, arguments, kills=due, patches=patches, limit=limit))
            if lives[-1].ended != "killed":
                break
        story = Story(lives=tuple(lives))
        if story.last.ended != "returned":
            raise NotDone(
                f"{reference(function)} {story.last.ended}: {story.last.error} {story.last.message} "
                f"(killed at {', '.join(story.died_at) or 'no point'})",
                story=story,
            )
        return story

    def _ask(self, request: Request) -> Life:
        answer: Future[Life] = Future()
        with self._lock:
            self._start()
            assert self._process is not None
            assert self._process.stdin is not None
            number = next(self._numbers)
            self._waiting[number] = answer
            self._process.stdin.write(msgspec.json.encode(replace(request, number=number)) + b"\n")
            self._process.stdin.flush()
        return answer.result()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        """Give everyone the answer to what he asked, until there are no more."""
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                answer = msgspec.json.decode(line, type=Answer)
                with self._lock:
                    waiting = self._waiting.pop(answer.number)
                    self.killed += answer.life.ended == "killed"
                waiting.set_result(answer.life)
        with self._lock:
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.set_exception(HoldfastError("the nursery has ended: its reason is on stderr"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
