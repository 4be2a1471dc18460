"""What a run has left behind, at the exchange and in the store; and the three promises, checked on that.

before, after = picture(url_a, store_a), picture(url_b, store_b)
assert not doubled(after) and not lost(after) and not different(before, after)
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.request import urlopen

import msgspec
from msgspec import Struct

from holdfast.broker.account import Entry
from holdfast.persist.schemas import SIGNAL
from holdfast.store import Store
from holdfast.testing.exchange.options import Witness
from holdfast.testing.own_adapter import store_of
from holdfast.trading.events import StrategyFailed
from holdfast.trading.ids import operation_id, signal_id
from holdfast.trading.order import OrderState, total
from holdfast.trading.signal import SignalRow

__all__ = ("Picture", "different", "doubled", "lost", "picture", "renamed", "stored")

ROOM: Final = 1e-9
LONGEST: Final = 100
IDS: Final = re.compile(r"hf-[0-9a-f]{6}-[0-9a-f]{6}-[0-9a-f]{16}|\b[0-9a-f]{16}\b")
STEPS: Final = 20
"""More operations than a signal of a test ever has."""


class Picture(Struct, frozen=True, kw_only=True):
    """Everything that two runs are compared by: the exchange's side and the store's.

    `history` is by stream, with what strategies failed at. `documents` are those of strategies and risk profiles,
    without what counts restarts. `halted` are symbols, each with the reason after a colon and a space.
    """

    orders: tuple[Entry, ...]
    witness: Witness
    history: dict[str, list[Any]]
    documents: dict[str, Any]
    halted: tuple[str, ...] = ()

    @property
    def positions(self) -> dict[str, float]:
        """What is held at the exchange, by symbol."""
        return self.witness.positions

    @property
    def rows(self) -> list[SignalRow]:
        """The live signals in the store."""
        kept = [value for key, value in self.documents.items() if key.startswith(("signal.", "schedule."))]
        return [SIGNAL.from_document(value) for value in kept if value is not None]


def picture(url: str, store: str) -> Picture:
    """Return what is at the exchange's session and in the store, both as they are now; for no running loop."""
    history, documents, halted = asyncio.run(_stored_at(store))
    return Picture(
        orders=tuple(msgspec.json.decode(_get(f"{url}/orders"), type=list[Entry])),
        witness=msgspec.json.decode(_get(f"{url}/witness"), type=Witness),
        history=history,
        documents=documents,
        halted=halted,
    )


def renamed(
    seen: Picture, namespace: str, *, strategy: str, symbols: Iterable[str], times: Iterable[int]
) -> Picture:
    """Return a picture of `namespace` as the namespace "default" would have it: ids are hashes of it and of when.

    An id that nothing decided at these `times` could have is left as it is, and is then a difference.
    """
    names = {}
    for symbol, at in [(symbol, at) for symbol in symbols for at in times]:
        names[signal_id(namespace, strategy, symbol, at)] = signal_id("default", strategy, symbol, at)
        for step in range(1, STEPS):
            mine = operation_id(namespace, strategy, symbol, at, step)
            names[mine] = operation_id("default", strategy, symbol, at, step)
    text = msgspec.json.encode(seen).decode().replace(f'"{namespace}"', '"default"')
    return msgspec.json.decode(IDS.sub(lambda id_: names.get(id_[0], id_[0]), text), type=Picture)


def doubled(seen: Picture) -> list[str]:
    """Return what breaks P1: client ids under which more than one order was accepted."""
    return [f"{client_id} was executed {count} times" for client_id, count in seen.witness.doubled.items()]


def lost(seen: Picture) -> list[str]:
    """Return what breaks P2: orders the store does not know as the exchange does, and positions nobody watches.

    A symbol that is halted by name is known to need a person, and is left to them.
    """
    known = _told(seen)
    halted = {text.partition(": ")[0] for text in seen.halted}
    wrong = []
    for entry in seen.orders:
        if not entry.state.fills or entry.order.symbol in halted:
            continue
        fills = msgspec.to_builtins(entry.state.fills, str_keys=True)
        if not set(map(_line, fills)) <= known:
            wrong.append(f"{entry.order.client_id}: the store does not have its fills")
    return wrong + _unwatched(seen, halted) + _unsettled(seen, halted)


def different(expected: Picture, seen: Picture) -> list[str]:
    """Return what breaks P3: where orders, positions, history or documents are not what they were."""
    pairs = (
        ("orders", expected.orders, seen.orders),
        ("positions", expected.positions, seen.positions),
        ("history", expected.history, seen.history),
        ("documents", expected.documents, seen.documents),
    )
    return [line for name, one, other in pairs for line in _differences(name, *map(_plain, (one, other)))]


def _told(seen: Picture) -> set[str]:
    events = [event for stream in seen.history.values() for event in stream]
    told = {
        _line(fill) for event in events for kind in ("fills", "entry_fills") for fill in event.get(kind, ())
    }
    states: list[OrderState] = [state for row in seen.rows for state in (row.entry, *row.exits)]
    return told | {_line(fill) for state in states for fill in _plain(state.fills)}


def _unwatched(seen: Picture, halted: set[str]) -> list[str]:
    signs = {"long": 1, "short": -1}
    wrong = []
    for symbol, held in seen.positions.items():
        watched = total(*(signs[row.side] * row.held for row in seen.rows if row.symbol == symbol), 0.0)
        if abs(held - watched) > ROOM * max(abs(held), 1.0) and symbol not in halted:
            wrong.append(f"{symbol}: the exchange holds {held:g}, the store watches {watched:g}")
    return wrong


def _unsettled(seen: Picture, halted: set[str]) -> list[str]:
    open_rows = [row for row in seen.rows if row.intent is not None and row.symbol not in halted]
    return [f"{row.symbol}: an intent is not settled" for row in open_rows]


async def stored(store: Store) -> tuple[dict[str, list[Any]], dict[str, Any], tuple[str, ...]]:
    """Return a store's side of a picture: the history, the documents, and which symbols are halted."""
    return await _history(store), *await _documents(store)


async def _stored_at(url: str) -> tuple[dict[str, list[Any]], dict[str, Any], tuple[str, ...]]:
    async with store_of(url) as store:
        return await stored(store)


async def _history(store: Store) -> dict[str, list[Any]]:
    streams = (await store.names()).streams
    history = {
        name: [{"number": e.number, **e.value} async for e in store.read(name)]
        for name in streams
        if name.startswith("history.")
    }
    return history | await _failures(store, [name for name in streams if name.startswith("system.")])


async def _failures(store: Store, streams: Iterable[str]) -> dict[str, list[Any]]:
    """Return what strategies failed at: of what a run tells beside its history, the part that changes the run."""
    kind = StrategyFailed.__name__
    told = {
        name: [{"error": e.value["error"]} async for e in store.read(name) if e.value["type"] == kind]
        for name in streams
    }
    return {name: failures for name, failures in told.items() if failures}


async def _documents(store: Store) -> tuple[dict[str, Any], tuple[str, ...]]:
    found: dict[str, Any] = {}
    halted = []
    for name in (await store.names()).entities:
        if name.startswith(("signal.", "schedule.", "risk.", "state.", "run.")):
            async for record in store.scan(name):
                found[f"{name}/{record.key.entity_id}"] = _comparable(record.value)
                if name.startswith("run.") and record.value.get("halted"):
                    halted.append(f"{record.key.entity_id}: {record.value['halted']}")
    return found, tuple(halted)


def _comparable(document: Any) -> Any:
    # System events count restarts, and an intent's expiry is wall time: neither is what a run has done.
    if isinstance(document, dict):
        return {k: _comparable(v) for k, v in document.items() if k not in ("system", "expires_at")}
    return document


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _line(fill: Any) -> str:
    return msgspec.json.encode(_plain(fill), order="deterministic").decode()


def _differences(where: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        return [d for n in names for d in _differences(f"{where}.{n}", one.get(n), other.get(n))]
    if isinstance(one, list) and isinstance(other, list):
        found = [
            d
            for i, pair in enumerate(zip(one, other, strict=False))
            for d in _differences(f"{where}[{i}]", *pair)
        ]
        return found if len(one) == len(other) else [f"{where}: {len(one)} became {len(other)}", *found[:3]]
    return [] if one == other else [f"{where}: {_shown(one)} became {_shown(other)}"]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _get(url: str) -> bytes:
    with urlopen(url, timeout=100) as response:  # noqa: S310  # http, to ourselves
        answer: bytes = response.read()
    return answer
