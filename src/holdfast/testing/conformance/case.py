"""What a check is given: stores of the subject, children to kill, chance from a seed, and how much is to be done."""

import asyncio
import functools
import itertools
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn, Self, TypeVar

from msgspec import Struct

from holdfast.errors import HoldfastError
from holdfast.store import Key, Store
from holdfast.testing.conformance.checks import Broken, Check, NotShown, chance
from holdfast.testing.conformance.recording import History, Recorded
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.crash import Life, Nursery
from holdfast.testing.explorer.strace import missing as untraceable
from holdfast.testing.own_adapter import store_of

__all__ = ("Bench", "Case", "Pace", "everything", "fresh_namespace", "lacking", "value")

LONG: Final = 6
"""Items of a list that are shown whole."""

T = TypeVar("T")


class Pace(Struct, frozen=True, kw_only=True):
    """How much is done: the number of tries is a small one times `times`, and nothing takes longer than `limit` (s)."""

    times: float = 3.0
    limit: float = 60.0


class Bench:
    """What checks share: a nursery that is started when it is first needed. Use it as `with`."""

    def __init__(self, *, nursery: Nursery | None = None, preload: Sequence[str] = ()) -> None:
        self._nursery = nursery
        self._owns = nursery is None
        self._preload = tuple(preload)

    @property
    def nursery(self) -> Nursery:
        """What forks children."""
        if self._nursery is None:
            self._nursery = Nursery(preload=self._preload)
        return self._nursery

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owns and self._nursery is not None:
            with suppress(BrokenPipeError):  # it has ended by itself
                self._nursery.stop()


class Case:
    """One check on one subject. `store` gives an open store in a namespace of its own; all are closed at the end."""

    def __init__(self, subject: Subject, check: Check, bench: Bench, *, seed: int, pace: Pace) -> None:
        self.subject = subject
        self.check = check
        self.seed = seed
        self.pace = pace
        self.random = chance(seed, check.name)
        self.history = History()
        self.counts: dict[str, int] = {}
        self._bench = bench
        self._stack = AsyncExitStack()
        self._folder = ""

    # ------------------------------------------------------------ stores

    def namespace(self) -> str:
        """Return a namespace that nobody has used."""
        return fresh_namespace()

    async def store(self, namespace: str | None = None) -> Recorded:
        """Return an open store, empty unless a namespace is named; it is closed at the end."""
        store = self.closed_store(namespace)
        await store.open()
        self._stack.push_async_callback(store.close)
        return store

    async def stores(self) -> list[Store]:
        """Return two open stores of a fresh namespace where there may be two, else one; closed at the end."""
        namespace = self.namespace()
        several = self.subject.found.shared and self.subject.keeps
        return [await self.store(namespace) for _ in range(2 if several else 1)]

    def closed_store(self, namespace: str | None = None) -> Recorded:
        """Return a store that is not open."""
        return Recorded(self.subject.make(namespace or self.namespace()), self.history)

    def closed_store_at(self, address: str) -> Recorded:
        """Return the store of an address, not open."""
        return Recorded(store_of(address), self.history)

    def address(self, namespace: str) -> str:
        """Return what opens a namespace in another process."""
        assert self.subject.address is not None
        return self.subject.address(namespace)

    def after(self, act: Callable[[], Awaitable[None]] | None) -> None:
        """Have something done at the end, if it is anything."""
        if act is not None:
            self._stack.push_async_callback(act)

    # ------------------------------------------------------------ children and files

    @property
    def folder(self) -> Path:
        """A folder of this case's own."""
        self._folder = self._folder or tempfile.mkdtemp(prefix="holdfast-conform-")
        return Path(self._folder)

    @property
    def nursery(self) -> Nursery:
        """What forks children."""
        return self._bench.nursery

    async def live(self, function: Any, arguments: dict[str, Any], **options: Any) -> Life:
        """Call a function in a child of its own, and return how that went."""
        options = {"limit": self.pace.limit, "patches": self.subject.patches, **options}
        return await asyncio.to_thread(self.life, function, arguments, **options)

    def life(self, function: Any, arguments: dict[str, Any], **options: Any) -> Life:
        """Return how a child went; raises NotShown where none can be forked, which says nothing of the subject."""
        try:
            return self.nursery.live(function, arguments, **options)
        except (HoldfastError, OSError) as error:
            raise NotShown(f"no process can be forked: {error}") from error

    # ------------------------------------------------------------ saying what is wrong

    def much(self, count: float) -> int:
        """Return how often to do something that is done `count` times at a pace of one; once at least."""
        return max(1, round(count * self.pace.times))

    def tell(self, **counts: int) -> None:
        """Note how much was tried, for the report."""
        for name, count in counts.items():
            self.counts[name.replace("_", " ")] = self.counts.get(name.replace("_", " "), 0) + count

    def broken(self, what: str, history: Sequence[str] | None = None) -> NoReturn:
        """Say that the promise is broken, with the calls since the history was cleared, or others that show it."""
        shown = self.history.lines if history is None else history
        raise Broken(what, promise=self.check.promise, history=shown, seed=self.seed)

    def same(self, found: Any, expected: Any, what: str) -> None:
        """Fail unless two things are equal, types and signs of zero included; says where long lists part."""
        if repr(found) != repr(expected):
            self.broken(f"{what}: {_parted(found, expected)}")

    @contextmanager
    def refused(self, kind: type[HoldfastError], what: str) -> Iterator[list[Any]]:
        """Fail unless the block raises that error; what is yielded has it then."""
        caught: list[Any] = []
        try:
            yield caught
        except kind as error:
            caught.append(error)
        except Exception as error:
            self.broken(f"{what}: {type(error).__name__} instead of {kind.__name__} ({error})")
        else:
            self.broken(f"{what}: nothing was raised instead of {kind.__name__}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def tidy(self) -> None:
        """Remove the folder, if there is one: always the last thing."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _parted(found: Any, expected: Any) -> str:
    """Return how two things differ, for people."""
    if not (isinstance(found, list) and isinstance(expected, list) and max(len(found), len(expected)) > LONG):
        return f"{found!r} instead of {expected!r}"
    pairs = enumerate(itertools.zip_longest(map(repr, found), map(repr, expected), fillvalue="nothing"), 1)
    number, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    return f"number {number} of {len(found)} is {one} instead of {other}, of {len(expected)}"


async def everything(found: AsyncIterator[T]) -> list[T]:
    """Return all that an iterator yields."""
    return [item async for item in found]


async def value(store: Store, key: Key) -> Any:
    """Return the value of a key, None where it is absent."""
    [record] = await store.get(key)
    return None if record is None else record.value


def fresh_namespace() -> str:
    """Return a namespace that nobody has used."""
    return f"conform-{secrets.token_hex(6)}"


def lacking(check: Check) -> str:
    """Return why this machine cannot make a check; "" where it can."""
    return next((why for need in check.needs if (why := _TOOLS.get(need, lambda: "")())), "")


@functools.cache
def _no_hypothesis() -> str:
    return "" if find_spec("hypothesis") else "hypothesis is not installed"


_TOOLS: dict[str, Callable[[], str]] = {"strace": untraceable, "hypothesis": _no_hypothesis}
