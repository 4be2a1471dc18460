"""What became of a bank: its stream replayed, and compared with its records and with what its writers were told.

verdict = judged(url, logs)
assert verdict.sound, verdict.words
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from holdfast.store import Event, Record
from holdfast.testing.log import Line, read_log
from holdfast.testing.own_adapter import store_of
from holdfast.testing.workloads import ACCOUNTS, BALANCE, LEDGER

__all__ = ("Verdict", "judged", "verdict_of")

SHOWN = 8


class Verdict(Struct, kw_only=True):
    """What a store did wrong, by promise, and how much it was asked.

    `lost`: acknowledged (or read by somebody) and not there. `doubled`: there more than once. `torn`: a snapshot,
    a stream or the final state that is of no whole commits. `wrong`: there although refused, or decided on what
    was no longer so.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether the store kept all of its promises."""
        return not (self.lost or self.doubled or self.torn or self.wrong)

    @property
    def words(self) -> str:
        """What it did wrong, for people."""
        parts = {"lost": self.lost, "doubled": self.doubled, "torn": self.torn, "wrong": self.wrong}
        said = [f"{len(found)} {name}: {'; '.join(found[:SHOWN])}" for name, found in parts.items() if found]
        return " | ".join([*said, str(self.counts)])


async def judged(url: str, logs: Iterable[str | Path]) -> Verdict:
    """Return the verdict on the store at `url`, whose writers and readers have written these logs and ended."""
    async with store_of(url) as store:
        events = [event async for event in store.read(LEDGER)]
        records = [record async for record in store.scan("bank.accounts")]
        records += [record async for record in store.scan("bank.writers")]
    return verdict_of(events, records, [line for log in logs for line in read_log(log)])


def verdict_of(events: Sequence[Event], records: Sequence[Record], lines: Sequence[Line]) -> Verdict:
    """Return the verdict on what a store holds, given everything that was written in the logs."""
    verdict = Verdict(counts=dict(Counter(line.what for line in lines)))
    verdict.counts["events"] = len(events)
    unknown = {line.commit_id for line in lines if line.what == "unknown"}
    settled = {line.commit_id for line in lines if line.what in ("acknowledged", "refused")}
    verdict.counts["unknown commits"] = len(unknown)
    verdict.counts["settled"] = len(unknown & settled)
    verdict.torn += [f"{line.what}: {line.detail}" for line in lines if line.what in ("torn", "back")]
    verdict.torn += _gaps(events)
    _promised(verdict, events, lines)
    verdict.wrong += _out_of_order(events, lines)
    _replayed(verdict, events, records)
    return verdict


def _gaps(events: Sequence[Event]) -> Iterator[str]:
    for number, event in enumerate(events, 1):
        if event.number != number or event.version != event.value["id"]:
            yield f"event {number} of the stream is number {event.number}, {event.value['id']} by {event.version}"


def _promised(verdict: Verdict, events: Sequence[Event], lines: Sequence[Line]) -> None:
    found = Counter(event.value["id"] for event in events)
    by: dict[str, set[str]] = {}
    for line in lines:
        by.setdefault(line.what, set()).add(line.commit_id)
    verdict.lost += [f"{one} was acknowledged" for one in sorted(by.get("acknowledged", set()) - set(found))]
    verdict.doubled += [f"{one} is there {count} times" for one, count in found.items() if count > 1]
    verdict.wrong += [
        f"{one} was refused and is there" for one in sorted(by.get("refused", set()) & set(found))
    ]
    verdict.wrong += [f"{one} was never asked for" for one in sorted(set(found) - by.get("asked", set()))]
    written = Counter(event.value["writer"] for event in events)
    for line in lines:
        if line.what == "seen":
            verdict.lost += [
                f"{seen} commits of {writer} were read, {written[writer]} are there"
                for writer, seen in line.detail.items()
                if written[writer] < seen
            ]


def _out_of_order(events: Sequence[Event], lines: Sequence[Line]) -> Iterator[str]:
    """Yield each commit that was asked for after another was acknowledged, and stands before it in the stream."""
    asked = {line.commit_id: line.at for line in lines if line.what == "asked"}
    acknowledged = {line.commit_id: line.at for line in lines if line.what == "acknowledged"}
    latest_ask, who = 0.0, ""
    for event in events:
        commit_id = event.value["id"]
        if acknowledged.get(commit_id, latest_ask) < latest_ask:
            yield f"{commit_id} was acknowledged before {who} was asked for, and stands behind it"
        if asked.get(commit_id, 0.0) > latest_ask:
            latest_ask, who = asked[commit_id], commit_id


def _replayed(verdict: Verdict, events: Sequence[Event], records: Sequence[Record]) -> None:
    """Compare what the stream amounts to with the records, and what each commit expected with what was there."""
    state: dict[str, Any] = {
        f"bank.accounts/{i}": ({"balance": BALANCE, "moves": 0}, "prepared") for i in range(ACCOUNTS)
    }
    for event in events:
        for number, version in event.value.get("saw", {}).items():
            found = state[f"bank.accounts/{number}"][1]
            if found != version:
                verdict.wrong.append(
                    f"{event.version} had read account {number} at {version}, it was {found}"
                )
        _apply(state, event)
    stored = {f"{r.key.entity_name}/{r.key.entity_id}": (r.value, r.version) for r in records}
    verdict.torn += [
        f"{name} is {stored.get(name)}, its stream amounts to {state.get(name)}"
        for name in sorted({*state, *stored})
        if state.get(name) != stored.get(name)
    ]


def _apply(state: dict[str, Any], event: Event) -> None:
    for number, amount in event.value.get("by", ()):
        value, _ = state[f"bank.accounts/{number}"]
        moved = {"balance": value["balance"] + amount, "moves": value["moves"] + 1}
        state[f"bank.accounts/{number}"] = (moved, event.version)
    name = f"bank.writers/{event.value['writer']}"
    done, _ = state.get(name, ({"transfers": 0, "notes": 0}, ""))
    kind = f"{event.value['kind']}s"
    state[name] = ({**done, kind: done[kind] + 1}, event.version)
