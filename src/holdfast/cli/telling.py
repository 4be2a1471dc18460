"""What a live run tells whoever reads its stdout, for as long as somebody does."""

from collections.abc import Callable, Sequence

from msgspec.structs import asdict

from holdfast.cli.lines import facts_of, line, moment
from holdfast.cli.output import Output
from holdfast.runtime.live.run import SeatStatus
from holdfast.trading.events import Happening

__all__ = ("Teller",)


class Teller:
    """Prints events and, at the end, how things stand. A full disk or a closed pipe must not end the trading."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._silent = False
        self._count = 0

    def tell(self, events: Sequence[Happening]) -> None:
        """Print events that were committed; never raises for want of a reader."""
        self._count += len(events)
        self._print(lambda: self._events(events))

    def summary(self, seats: Sequence[SeatStatus], *, detached: bool) -> None:
        """Print how each strategy stands on each symbol; never raises for want of a reader."""
        self._print(lambda: self._seats(seats, detached))

    def _print(self, work: Callable[[], None]) -> None:
        if self._silent:
            return
        try:
            work()
        except OSError as error:
            self._silent = True
            self._output.abandon()
            self._output.note(f"stdout cannot be written any more ({error.strerror}); trading goes on")

    def _events(self, events: Sequence[Happening]) -> None:
        for event in events:
            self._output.record(type(event).__name__, facts_of(event))
            self._output.say(line(event))

    def _seats(self, seats: Sequence[SeatStatus], detached: bool) -> None:
        for seat in seats:
            self._output.say(
                f"{seat.strategy} on {seat.symbol}: {_stand(seat)}, at {moment(seat.cursor)[:-3]}"
            )
        facts = {"events": self._count, "detached": detached, "seats": [asdict(seat) for seat in seats]}
        self._output.record("summary", facts)


def _stand(seat: SeatStatus) -> str:
    if seat.halted:
        return f"halted: {seat.halted}"
    return f"{seat.status}, stopped" if seat.stopped else seat.status
