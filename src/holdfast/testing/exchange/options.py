"""How a simulated exchange behaves, and what it can be asked about itself."""

from typing import Literal

from msgspec import Struct

from holdfast.broker.account import Dedupe
from holdfast.errors import InvalidOption
from holdfast.trading.fills import FillModel

__all__ = ("Options", "Seen", "Witness")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market's pace and rules.

    It starts at `start` (market time, ms), by default when `warmup` minutes have closed. `paced`: it stands
    still until somebody asks for the candle that closes next. `running`: a market minute takes 60 / `speed`
    seconds. `request_expiry` is the margin (s) that requests should be given, None where they never expire;
    `wall_offset` (ms) puts its wall clock wrong. `account` is who it takes everyone for.
    """

    pace: Literal["paced", "running"] = "paced"
    speed: float = 1.0
    start: int | None = None
    warmup: int = 1
    fill_model: FillModel = "touch"
    dedupe: Dedupe = "open"
    request_expiry: float | None = 5.0
    wall_offset: int = 0
    account: str = "simulated"

    def __post_init__(self) -> None:
        if not 0 < self.speed < float("inf"):
            raise InvalidOption(f"a market cannot run at a speed of {self.speed}")


class Seen(Struct, kw_only=True, omit_defaults=True):
    """A request as the exchange saw it: what was asked when, and what was answered.

    `wall` and `market` are its two clocks (ms) at arrival; `status` 0 says that no answer was sent. `executed`
    says whether it got as far as the market; `faults` are those that were done to it.
    """

    number: int
    kind: str
    method: str
    target: str
    wall: int
    market: int
    body: str = ""
    client_id: str = ""
    status: int = 0
    answer: str = ""
    executed: bool = False
    faults: tuple[str, ...] = ()


class Witness(Struct, frozen=True, kw_only=True):
    """What an impartial observer has counted: the proof that nothing was sent twice, or that something was.

    `doubled` are the client ids that more than one order was accepted under; `orders`, `filled` and `open` count
    accepted orders; `refused` counts the others by reason, `requests` and `faults` all of each kind.
    """

    now: int
    orders: int
    filled: int
    open: int
    doubled: dict[str, int]
    positions: dict[str, float]
    requests: dict[str, int]
    refused: dict[str, int]
    faults: dict[str, int]
