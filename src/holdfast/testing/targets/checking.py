"""The recovery check of a store: opened after a power cut it holds what it must, goes on, and opens again."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from holdfast.store import Key, Put, Store
from holdfast.testing.explorer.checking import Check
from holdfast.testing.targets.judging import Told, settled, told
from holdfast.testing.targets.steps import Contents, changes, commit_id, contents
from holdfast.testing.targets.stores import Target

__all__ = ("EXPECTED", "PROBE", "check_of", "check_served")

PROBE: Final = Key("probe", "probe")
EXPECTED: Final = frozenset({"torn", "restored"})
"""Findings of the file store that a power cut explains."""


def check_of(made: Target, seed: str) -> Check:
    """Return the check for `explore`: the marks are those of `live`, with the same seed."""

    def check(folder: Path, marks: Sequence[str]) -> list[str]:
        problems = asyncio.run(_check(made, str(folder), seed, told(marks)))
        return problems + made.sound(folder)

    return check


def check_served(made: Target, seed: str) -> Callable[[Sequence[str]], list[str]]:
    """Return the check of a store on a server, which goes on from there: nothing that stays is committed."""
    return lambda marks: asyncio.run(_served(made, seed, told(marks)))


async def _served(made: Target, seed: str, known: Told) -> list[str]:
    async with made.make("") as store:
        found = await contents(store)
        _, wrong = settled(found, seed, known)
        return [wrong] if wrong else await _twice(store, seed, known.least, found)


async def _check(made: Target, folder: str, seed: str, known: Told) -> list[str]:
    async with made.make(folder) as store:
        problems = _unexplained(store)
        found = await contents(store)
        _, wrong = settled(found, seed, known)
        if wrong:
            return [*problems, wrong]
        problems += await _twice(store, seed, known.least, found)
        await store.commit([Put(PROBE, known.most)], commit_id="probe")
    async with made.make(folder) as store:
        return problems + _unexplained(store) + _went_on(found, await contents(store), known.most)


async def _twice(store: Store, seed: str, number: int, found: Contents) -> list[str]:
    """Commit once more what was acknowledged: that must change nothing."""
    if number == 0:
        return []
    await store.commit(changes(seed, number), commit_id=commit_id(seed, number))
    changed = (await contents(store)).difference(found)
    return [f"commit {number}, repeated, was done twice: {changed}"] if changed else []


def _went_on(found: Contents, later: Contents, number: int) -> list[str]:
    records = dict(later.records)
    problems = (
        [] if records.pop(PROBE, None) == (number, "probe") else ["what was committed after recovery is gone"]
    )
    changed = Contents(records, later.streams).difference(found)
    return [*problems, f"after recovery and a close: {changed}"] if changed else problems


def _unexplained(store: Store) -> list[str]:
    findings = getattr(store, "findings", ())
    return [
        f"found at open: {each.kind} {each.path} {each.reason}"
        for each in findings
        if each.kind not in EXPECTED
    ]
