"""`holdfast store history`: what happened to a strategy on a symbol, oldest first."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.text import Text

from holdfast.cli.lines import line
from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl, flag
from holdfast.cli.output import Output
from holdfast.cli.store.reading import folder_of, reader
from holdfast.errors import EntityNotFound
from holdfast.store import Event, Store
from holdfast.store.tools.refusing import refuse_encrypted
from holdfast.trading.events import from_document

__all__ = ("history",)


def history(
    strategy: Annotated[str, Parameter(help="The strategy's name.")],
    symbol: Annotated[str, Parameter(help="The symbol.")],
    /,
    store: StoreUrl = DEFAULT_STORE,
    *,
    system: Annotated[
        bool,
        flag("What happened to the process (wall time), not to the signals (market time)."),
    ] = False,
    after: Annotated[int, Parameter(help="Only events numbered above this.")] = 0,
    limit: Annotated[int | None, Parameter(help="At most so many.")] = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the history of a strategy on a symbol, oldest first; it is there while a bot adds to it.

    Exit code 1 says that there is none.

    Example: `holdfast store history sma-cross BTCUSDT sqlite:state.db --after 100 --limit 20`
    """
    output = Output(json=json)
    folder_of(store, namespace)
    stream = f"{'system' if system else 'history'}.{strategy}.{symbol}"
    events = asyncio.run(_events(reader(store, namespace, looking=True), stream, after, limit))
    for event in events:
        facts = {"number": event.number, "version": event.version, "stream": stream, "value": event.value}
        output.record("event", facts)
        output.say(Text.assemble((f"{event.number:>6}  ", "dim"), _line(event)))
    last = events[-1].number if events else after
    output.record("summary", {"events": len(events), "last": last})


async def _events(store: Store, stream: str, after: int, limit: int | None) -> list[Event]:
    async with store:
        await refuse_encrypted(store)
        known = (await store.names()).streams
        if stream not in known:
            there = ", ".join(known) or "none"
            raise EntityNotFound(f"there is no stream {stream!r}; there are: {there}", stream=stream)
        return [event async for event in store.read(stream, after=after, limit=limit)]


def _line(event: Event) -> Text:
    try:
        return line(from_document(event.value, event.number))
    except msgspec.ValidationError:  # written by a newer Holdfast, or by the user's own code
        return Text(msgspec.json.encode(event.value).decode())
