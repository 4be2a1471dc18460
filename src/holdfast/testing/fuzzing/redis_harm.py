"""A Redis server that answers with something else than it should, and a store whose server it is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from holdfast.store.backends.redis.routes import Address, Direct, Sentinels, Slots
from holdfast.store.backends.redis.store import RedisStore
from holdfast.store.url import parse
from holdfast.system import SystemClock
from holdfast.testing.fuzzing.damage import damaged
from holdfast.testing.fuzzing.dice import Dice
from holdfast.testing.fuzzing.redis_meanings import Nonsense
from holdfast.testing.fuzzing.redis_replies import GREETING, READING, WRITING
from holdfast.testing.fuzzing.redis_wire import Refusal, Wire, spoken

__all__ = ("Server", "store_on")

URL: Final = "redis://127.0.0.1:1/0?connect_timeout=20&read_timeout=20&commit_timeout=20"
WHOLE: Final[Mapping[str, Any]] = {**GREETING, **READING, **WRITING}

ODD: Final[Sequence[Any]] = (
    None, 0, 1, -1, 2**63 - 1, 10**30, b"", b"\0", b"x", b"0", b"1", b"\xff", b"+", b"=", b"!0:", b"!9:x", b"!x:y",
    b"null", b"9" * 5000, "²".encode(), [], [[]], [None], [b""], [0], [[b"x"], 1], b"\0" * 3, b"OK",
    *map(Refusal, (
        "ERR no", "OOM command not allowed when used memory > 'maxmemory'.", "WENTBACK 3", f"WENTBACK {'9' * 5000}",
        "MOVED 1 127.0.0.1:7001", "ASK 1 127.0.0.1:7001", "MOVED 1", "ASK 1 :0", "MOVED 1 h:99999999", "NOSCRIPT No",
        "LOADING is", "READONLY You", "WRONGTYPE key", "NOPERM no", "", "ERR invalid password", "CROSSSLOT keys",
    )),
)  # fmt: skip


class Server:
    """A wire, with harm to some of its answers as the dice say; `harmed` is whether there is any."""

    def __init__(self, dice: Dice, questions: Sequence[str]) -> None:
        told, last = dict(WHOLE), set()
        for _ in range(dice.below(3)):
            name = dice.pick(questions)
            told[name] = _harmed(dice, told[name])
        answers = {name: spoken(answer) for name, answer in told.items()}
        if dice.chance(4):
            name = dice.pick(questions)
            answers[name] = damaged(dice, answers[name])
            last.add(name)  # who waits for the rest of it is not to wait for ever
        self.harmed = bool(last) or told != WHOLE
        self.wire = Wire(answers, last=last)

    def heard(self, name: str) -> Any:
        """Return what redis-py made of the answer to a question; Nonsense where that is an error, or nothing."""
        found = self.wire.heard.get(name, Nonsense("never asked"))
        if isinstance(found, Exception):
            raise Nonsense(str(found))
        return found


def store_on(
    kind: type[RedisStore], server: Server, *, route: str = "direct", options: str = ""
) -> RedisStore:
    """Return a store whose server this is: asked directly, or by way of sentinels or a cluster."""
    store = kind(parse(URL + options), clock=_Clock(), ids=_Ids())
    wire: Any = server.wire
    home = Address("127.0.0.1", 1)
    routes: Mapping[str, Callable[[], Any]] = {
        "direct": lambda: Direct(wire, home),
        "sentinel": lambda: Sentinels(wire, wire, (home,), "main"),
        "cluster": lambda: Slots(wire, (home,)),
    }
    store._session._route = routes[route]()
    return store


class _Clock(SystemClock):
    """A clock by which every pause is long: what is asked again is asked again a few times."""

    def __init__(self) -> None:
        self._passed = 0.0

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        self._passed += 8.0
        await asyncio.sleep(0)


class _Ids:
    def __call__(self) -> str:
        return "id"


def _harmed(dice: Dice, value: Any) -> Any:
    """Return an answer with something in it, at times all, that is another value of any type of RESP."""
    if isinstance(value, list) and value and dice.below(4):
        at = dice.below(len(value))
        match dice.below(8):
            case 5:
                return value[:at] + value[at + 1 :]
            case 6:
                return [*value[:at], value[at], *value[at:]]
            case 7:
                return [*value[:at], dice.pick(ODD), *value[at:]]
        return [*value[:at], _harmed(dice, value[at]), *value[at + 1 :]]
    match dice.below(4):
        case 1:
            return (
                value.encode()
                if isinstance(value, str)
                else b"%d" % value
                if isinstance(value, int)
                else [value]
            )
        case 2 if isinstance(value, bytes):
            return damaged(dice, value)
    return dice.pick(ODD)
