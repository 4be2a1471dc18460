"""The network between processes and servers: requests and answers are late, lost, cut, repeated, or overtake others."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from holdfast.testing.simulation.process import SimulatedProcess
from holdfast.testing.simulation.world import World

__all__ = ("HARMS", "Cut", "Harm", "Network")

T = TypeVar("T")
Harm = Literal["lose", "lose answer", "cut", "cut answer", "delay", "delay answer", "repeat"]
HARMS: Final[tuple[Harm, ...]] = (
    "lose",
    "lose answer",
    "cut",
    "cut answer",
    "delay",
    "delay answer",
    "repeat",
)


class Cut(ConnectionError):
    """The connection was cut: whether the request arrived, nobody can tell."""


class Network:
    """Carries requests to servers. `apart` are the (machine, server) that cannot reach each other now."""

    def __init__(self, world: World, *, slow: float = 1.0) -> None:
        self.world = world
        self.apart: Counter[tuple[str, str]] = Counter()
        self.down: Counter[str] = Counter()
        self.harms: dict[tuple[str, str, int], tuple[Harm, float]] = {}
        self.requests = 0
        self._seen: Counter[tuple[str, str]] = Counter()
        self._chance = world.chance("network")
        self._slow = slow

    async def call(
        self, process: SimulatedProcess, server: str, kind: str, act: Callable[[], T], *, within: float
    ) -> T:
        """Return what `act` returns at the server; raises TimeoutError or Cut where no answer comes.

        It may then have happened, and may still happen.
        """
        process.check()
        answer: asyncio.Future[T] = process.loop.create_future()
        timer = process.loop.call_later(within, _late, answer)
        harm, seconds = self._met(server, kind)
        self._send(
            _Request(
                network=self,
                process=process,
                server=server,
                kind=kind,
                act=act,
                answer=answer,
                harm=harm,
                seconds=seconds,
            )
        )
        process.passing(f"ask {kind}")
        try:
            return await answer
        finally:
            timer.cancel()

    def _send(self, request: "_Request") -> None:
        harm = request.harm
        self.world.tell(request.process.name, f"asks {request.server} {request.kind} {harm}".rstrip())
        if harm == "cut":
            request.process.loop.call_later(self._while(), _cut, request.answer)
        elif harm != "lose":
            self.world.after(self._while() + (request.seconds if harm == "delay" else 0.0), request)
            if harm == "repeat":
                self.world.after(self._while() + request.seconds, replace(request, answer=None))

    def _met(self, server: str, kind: str) -> tuple[str, float]:
        """Return what this request meets: of its kind and number, or as any of the server's."""
        self.requests += 1
        for one in (kind, ""):
            self._seen[server, one] += 1
        found = [self.harms.get((server, one, self._seen[server, one])) for one in (kind, "")]
        harm: tuple[str, float] = next((one for one in found if one is not None), ("", 0.0))
        if harm[0]:
            self.world.counts[f"network: {harm[0]}"] += 1
        return harm

    def reaches(self, process: SimulatedProcess, server: str) -> bool:
        """Whether anything passes between a process's machine and a server now."""
        return self.apart[process.machine.name, server] <= 0 and self.down[server] <= 0

    def calm(self) -> None:
        """Let everything reach everything, and nothing meet harm any more."""
        self.apart.clear()
        self.down.clear()
        self.harms.clear()

    def _while(self) -> float:
        rare = self._chance.random()
        return self._slow * (0.0005 + 0.004 * rare if rare < 0.97 else 0.2 * self._chance.random())


class _Request(Struct, frozen=True, kw_only=True):
    """A request on its way: called, it arrives, and its answer goes back."""

    network: Network
    process: SimulatedProcess
    server: str
    kind: str
    act: Callable[[], Any]
    answer: "asyncio.Future[Any] | None"
    harm: str
    seconds: float

    def __call__(self) -> None:
        network = self.network
        if not network.reaches(self.process, self.server):
            network.world.counts["network: unreachable"] += 1
            return
        try:
            result, error = self.act(), None
        except Exception as raised:  # the server's answer, too
            result, error = None, raised
        if self.answer is None or self.harm == "lose answer":
            return
        if self.harm == "cut answer":
            error = Cut("the connection was cut")
        late = self.seconds if self.harm == "delay answer" else 0.0
        network.world.after(network._while() + late, lambda: self._back(result, error))

    def _back(self, result: Any, error: Exception | None) -> None:
        process, answer = self.process, self.answer
        if process.dead or answer is None or not self.network.reaches(process, self.server):
            return
        process.loop.call_soon(_settle, answer, result, error)


def _settle(answer: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


def _late(answer: "asyncio.Future[Any]") -> None:
    _settle(answer, None, TimeoutError("no answer came"))


def _cut(answer: "asyncio.Future[Any]") -> None:
    _settle(answer, None, Cut("the connection was cut"))
