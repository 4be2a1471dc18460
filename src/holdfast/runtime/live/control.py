"""What a user asks of a running run: stop, resume, close, cancel. Each is committed before it returns."""

import asyncio
from functools import partial
from typing import Literal

from holdfast.errors import Halted, InvalidOption
from holdfast.runtime.live.agreement import release
from holdfast.runtime.live.parts import Parts
from holdfast.runtime.live.seat import Seat
from holdfast.trading.events import Stopped
from holdfast.trading.inputs import Request

__all__ = ("Control",)


class Control:
    """A user's hand on a run; `step` keeps it and the engine's own steps apart."""

    def __init__(self, parts: Parts, step: asyncio.Lock) -> None:
        self._parts = parts
        self._step = step

    async def stop(self, symbol: str | None = None) -> None:
        """Take no new signals from now on, also after restarts; what is open is watched to its end."""
        for seat in self._parts.chosen(symbol):
            await self._set_stopped(seat, True)

    async def resume(self, symbol: str | None = None) -> None:
        """Take new signals again, and go on with symbols that were halted."""
        for seat in self._parts.chosen(symbol):
            await self._set_stopped(seat, False)

    async def release(self, symbol: str | None = None) -> None:
        """Take the signals of halted symbols off the books, by a person's word, and go on with the symbols."""
        for seat in self._parts.chosen(symbol):
            async with self._step:
                await self._parts.again(partial(self._released, seat))

    async def _released(self, seat: Seat) -> None:
        _refuse_early(seat)
        if seat.held.run.halted:
            draft = seat.draft(self._parts.clock.now())
            await release(self._parts.store, seat, draft)
            drafts = [(seat, draft)]
            await self._parts.ledger.commit(drafts, self._parts.places_left(drafts), vital=True)

    async def request(
        self, kind: Literal["close", "cancel"], symbol: str, strategy: str | None = None
    ) -> bool:
        """Close an open signal, or cancel a scheduled one, now; False where there was nothing to do.

        The wish is committed as an intent before anything is sent, so it survives whatever comes next. Raises
        Halted where a person has to look first: then there may be a position, and nothing was done about it.
        """
        return any([await self._request(kind, seat) for seat in self._parts.chosen(symbol, strategy)])

    async def _request(self, kind: Literal["close", "cancel"], seat: Seat) -> bool:
        async with self._step:
            return await self._parts.again(partial(self._wished, kind, seat))

    async def _wished(self, kind: Literal["close", "cancel"], seat: Seat) -> bool:
        parts = self._parts
        _refuse_early(seat)
        if seat.row is not None and (reason := seat.held.run.halted):
            raise Halted(f"{seat.name} is halted: {reason}", reason=reason)
        now = await parts.exchange.now()
        draft = seat.draft(parts.clock.now())
        draft.feed(Request(kind=kind, at=now))
        if draft.book == seat.book:
            return False
        await parts.orders.commit(seat, draft)
        await parts.again(partial(parts.orders.carry_out, seat))
        return True

    async def _set_stopped(self, seat: Seat, stopped: bool) -> None:
        async with self._step:
            await self._parts.again(partial(self._marked, seat, stopped))
            if not stopped:  # whatever was under way when the symbol was halted
                await self._parts.again(partial(self._parts.orders.carry_out, seat))

    async def _marked(self, seat: Seat, stopped: bool) -> None:
        _refuse_early(seat)
        draft = seat.draft(self._parts.clock.now())
        draft.run(stopped=stopped)
        if stopped:
            draft.tell(Stopped, reason="no new signals until resumed")
        else:
            draft.run(halted="")
        await self._parts.orders.commit(seat, draft)


def _refuse_early(seat: Seat) -> None:
    if seat.book is None:
        raise InvalidOption(f"the run has not started on {seat.name} yet")
