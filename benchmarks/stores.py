"""Every backend against bare drivers and other stores: `python -m benchmarks stores [--rounds N] [--seconds S]`.

Real servers on loopback, started for this and thrown away, with their data on the measured disk, set to flush
before they acknowledge. All contenders of a table take turns in short slices, the order is turned each round, and
ratios are taken within a round. Flushes are what the disk itself counted (/sys/block/*/stat), so they include the
servers' own and, on a busy machine, those of others.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.contenders import DOCUMENTS, FAMILIES, KEYS, RAW, TEXTS, Contender, Place, Use
from benchmarks.scans import SCANS, Rows
from holdfast.store import Key, Put, Store, open_store
from holdfast.testing.servers.postgres import PostgresServer
from holdfast.testing.servers.redis import RedisServer

LISTED = 10_000


class Slice(NamedTuple):
    """What a contender did in one turn: operations a second, and disk flushes an operation."""

    rate: float
    flushes: float


Table = dict[str, list[Slice]]


def flushed(folder: Path) -> int:
    """Return how many flushes the disk under a folder has done; 0 where the system does not tell."""
    device = os.stat(folder).st_dev
    for place in (f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat", *_disks()):
        try:
            return int(Path(place).read_text().split()[15])
        except (OSError, IndexError):
            continue
    return 0


def _disks() -> list[str]:
    # A container's root is no block device of its own: then the one real disk of the machine is counted.
    return sorted(str(path / "stat") for path in Path("/sys/block").glob("[vsn]*") if path.name != "nbd0")


async def turn(use: Use, writers: int, seconds: float, folder: Path) -> Slice:
    """Let that many tasks use a contender, each waiting for its answer before it asks again."""
    count, before, began = 0, flushed(folder), time.perf_counter()
    end = began + seconds

    async def work(writer: int) -> None:
        nonlocal count
        number = writer
        while time.perf_counter() < end:
            await use(writer, number)
            number += 1
            count += 1

    await asyncio.gather(*(work(writer) for writer in range(writers)))
    took = time.perf_counter() - began
    return Slice(count / took, (flushed(folder) - before) / max(count, 1))


async def table(
    contenders: Sequence[Contender], use: str, writers: int, rounds: int, seconds: float, folder: Path
) -> Table:
    """Measure all contenders in turns; raw, blocking ones are always alone."""
    results: Table = {one.name: [] for one in contenders}
    for number in range(rounds + 1):
        for one in contenders if number % 2 else reversed(contenders):
            tasks = writers if one.tasks else 1
            work = (use == "put" and tasks == 1 and one.alone) or getattr(one, use)
            found = await turn(work, tasks, seconds, folder)
            if number:  # the first round warms up
                results[one.name].append(found)
    return results


def report(title: str, contenders: Sequence[Contender], results: Table, bases: Sequence[str]) -> None:
    """Print a table with the ratio to each base."""
    print(f"\n### {title}\n")
    ratios = " | ".join(f"to {base.partition(',')[0]}" for base in bases)
    print(f"| case | operations/s median (min-max) | {ratios} | disk flushes/op | survives |")
    print("|---|---|" + "---|" * (len(bases) + 2))
    for one in contenders:
        slices = results[one.name]
        rates = [each.rate for each in slices]
        told = " | ".join(_ratio(rates, [each.rate for each in results[base]]) for base in bases)
        flushes = statistics.median(each.flushes for each in slices)
        print(
            f"| {one.name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | {told} "
            f"| {flushes:.3f} | {one.durability} |"
        )


def _ratio(rates: Sequence[float], others: Sequence[float]) -> str:
    ratios = [rate / other for rate, other in zip(rates, others, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


async def measure(place: Place, families: Sequence[str], rounds: int, seconds: float) -> None:
    """Measure family by family: one writer, 64 writers, one reader; then listing and recovery."""
    for family in families:
        async with AsyncExitStack() as stack:
            contenders = await _entered(stack, place, family)
            base = contenders[1].name
            for writers in (1, 64):
                able = [one for one in contenders if writers == 1 or one.tasks or one.name in (RAW, base)]
                results = await table(able, "put", writers, rounds, seconds, place.folder)
                report(f"{family}: puts, {writers} writer{'s' * (writers > 1)}", able, results, [RAW, base])
            readers = [one for one in contenders if one.get is not None]
            results = await table(readers, "get", 1, rounds, seconds, place.folder)
            report(f"{family}: gets, 1 reader", readers, results, [base])
    if "redis" in families:
        await listing(place, rounds)
    await recovery(place, families, rounds)


async def _entered(stack: AsyncExitStack, place: Place, family: str) -> list[Contender]:
    found = []
    for name, opened in {**FAMILIES["base"], **FAMILIES[family]}.items():
        try:
            found.append(await stack.enter_async_context(opened(place)))
        except ImportError as error:
            print(f"left out: {name} ({error}; `make bench-stores` installs it)", file=sys.stderr)
    return found


# ------------------------------------------------------------ many records


async def listing(place: Place, rounds: int) -> None:
    """Compare listing 10,000 records with KEYS and a GET for each, as published adapters do."""
    import redis.asyncio

    client = redis.asyncio.Redis(host="127.0.0.1", port=place.redis.port, db=3)
    for start in range(0, LISTED, 1_000):
        await client.mset({f"signal:{i:05d}": TEXTS[i & 63] for i in range(start, start + 1_000)})
    ratios, ours, theirs = [], [], []
    async with open_store(place.redis.url, namespace="listing") as store:
        await _filled(store)
        for number in range(rounds + 1):
            took = await _timed(_scan(store)), await _timed(_keys_and_get(client))
            if number:
                ours.append(took[0])
                theirs.append(took[1])
                ratios.append(took[1] / took[0])
    await client.aclose()
    print(f"\n### listing {LISTED:,} records on Redis\n")
    print(
        f"KEYS and GETs: {statistics.median(theirs):.2f} s; Holdfast scan: {statistics.median(ours):.2f} s; ",
        end="",
    )
    print(f"{statistics.median(ratios):.1f} x as fast ({min(ratios):.1f}-{max(ratios):.1f})")


async def recovery(place: Place, families: Sequence[str], rounds: int) -> None:
    """Compare opening a store and reading 10,000 records, as a restart does, with a bare scan of the same records.

    The bare driver connects and fetches the same JSON in one go, and decodes it with msgspec, as Holdfast does.
    """
    print(f"\n### recovery: open, and read {LISTED:,} records\n")
    print("| backend | open and read | bare scan | ratio |\n|---|---|---|---|")
    for family in families:
        url = _url(place, family)
        async with open_store(url, namespace="recovery") as store:
            await _filled(store)
        rows = await _listed(url)
        ours, theirs = [], []
        async with SCANS[family](place, rows) as bare:
            for number in range(rounds + 1):
                works = (_restart(open_store(url, namespace="recovery")), _decoded(bare))
                took = await _turns(works, reverse=bool(number % 2))
                if number:  # the first round warms up
                    ours.append(took[0])
                    theirs.append(took[1])
        print(
            f"| {family} | {statistics.median(ours):.3f} s | {statistics.median(theirs):.3f} s "
            f"| {_ratio(ours, theirs)} |"
        )


async def _turns(works: Sequence[Awaitable[Any]], *, reverse: bool) -> list[float]:
    """Return how long each took, one after the other, in an order that changes."""
    took = [0.0] * len(works)
    for place in sorted(range(len(works)), reverse=reverse):
        took[place] = await _timed(works[place])
    return took


async def _listed(url: str) -> Rows:
    async with open_store(url, namespace="recovery") as store:
        return [
            (record.key.entity_id, json.dumps(record.value, separators=(",", ":")))
            async for record in store.scan("signal.bench")
        ]


async def _decoded(bare: Callable[[], Awaitable[Iterable[str | bytes]]]) -> None:
    decode = msgspec.json.Decoder().decode
    assert len([decode(text) for text in await bare()]) == LISTED


def _url(place: Place, family: str) -> str:
    return {
        "file": f"file:{place.folder}/recovery",
        "sqlite": f"sqlite:///{place.folder}/recovery.db",
        "redis": place.redis.url,
        "postgres": place.postgres.url,
    }[family]


async def _filled(store: Store) -> None:
    for start in range(0, LISTED, 500):
        numbers = range(start, start + 500)
        await store.commit([Put(Key("signal.bench", f"{i:05d}"), DOCUMENTS[i % KEYS]) for i in numbers])


async def _restart(store: Store) -> None:
    async with store:
        await _scan(store)


async def _scan(store: Store) -> None:
    count = 0
    async for _ in store.scan("signal.bench"):
        count += 1
    assert count == LISTED


async def _keys_and_get(client: Any) -> None:
    for key in await client.keys("signal:*"):
        await client.get(key)


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the servers in a temporary folder (`--folder` says on which disk), measure, and print markdown tables."""
    known = [family for family in FAMILIES if family != "base"]
    parser = argparse.ArgumentParser(prog="benchmarks stores", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--only", action="append", choices=known)
    options = parser.parse_args(arguments)
    print(__doc__)
    print(f"{options.rounds} rounds after one to warm up, turns of {options.seconds} s.")
    with tempfile.TemporaryDirectory(dir=Path(options.folder).resolve(), prefix=".bench-") as folder:
        os.chmod(folder, 0o711)  # PostgreSQL's own user has to reach its folder in it
        with RedisServer(folder=folder) as redis_server, PostgresServer(folder=folder) as postgres_server:
            place = Place(Path(folder), redis_server, postgres_server)
            asyncio.run(measure(place, options.only or known, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
