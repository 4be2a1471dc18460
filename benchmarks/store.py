"""How fast a durable put is, against the disk itself: `python -m benchmarks store [--rounds N] [--seconds S]`.

Base: one thread that does pwrite + fdatasync of 1 KB into a preallocated file, which is all a durable write
needs. Cases take turns in short slices, the order is turned each round, and the ratio to the base is taken
within its round, so that a machine that speeds up or slows down meanwhile changes little.

CPU time is counted besides: of the event loop's thread, and of the whole process, the writing of entity files
(every half second, on a thread of its own, one per key that changed) included.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.store import Key, Put
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore

BASE = "raw pwrite+fdatasync, 1 writer"
METHOD = """\
Method: one process, all cases in turns of {seconds} s, order turned each round, {rounds} rounds after one to warm up;
the ratio is that of a round, the median of rounds is shown. A put is one JSON document of about 1 KB, checked,
journalled and flushed; writers are asyncio tasks. The base is not asyncio: pwrite + fdatasync in a loop.
"""
Waits = list[float]
Case = Callable[[float], Awaitable[tuple[int, Waits]]]


class Slice(NamedTuple):
    """What a case did in one turn: per second, and per put flushes and CPU time (us)."""

    rate: float
    flushes: float
    loop: float
    process: float
    waits: Waits


class CountingDisk(Disk):
    """The real disk, counting flushes of the journal's kind."""

    flushes = 0

    def flush(self, fd: int) -> None:
        self.flushes += 1
        super().flush(fd)


def document(number: int) -> dict[str, Any]:
    """A signal of about 1 KB, as a strategy would store it."""
    partials = [
        {"at": 1_700_000_000_000 + i, "price": 100.25 + i, "quantity": 0.5, "fee": 0.01} for i in range(6)
    ]
    prices = {f"price_{i}": 100.0 + number % 97 + i / 8 for i in range(10)}
    texts = {f"field_{i}": f"{number:032d}" for i in range(8)}
    return {"symbol": "BTCUSDT", "side": "long", "sequence": number, **prices, **texts, "partials": partials}


def raw(folder: Path, disk: CountingDisk) -> Case:
    """Return the base case."""
    fd = os.open(folder / "raw", os.O_RDWR | os.O_CREAT, 0o600)
    size = 64 << 20
    for offset in range(0, size, 1 << 20):
        os.pwrite(fd, bytes(1 << 20), offset)
    os.fsync(fd)
    payload = os.urandom(1024)

    async def run(seconds: float) -> tuple[int, Waits]:
        count, now = 0, time.perf_counter()
        end, waits = now + seconds, []
        while now < end:
            os.pwrite(fd, payload, count * 1024 % size)
            os.fdatasync(fd)
            count += 1
            before, now = now, time.perf_counter()
            waits.append(now - before)
        disk.flushes += count
        return count, waits

    return run


def puts(store: FileStore, writers: int) -> Case:
    """Return the case of that many concurrent writers, each waiting for its put before the next."""
    documents = [document(i) for i in range(64)]

    async def run(seconds: float) -> tuple[int, Waits]:
        waits: Waits = []
        end = time.perf_counter() + seconds

        async def write(writer: int) -> None:
            key, number, now = Key("signal.bench", f"S{writer}"), writer, time.perf_counter()
            while now < end:
                await store.commit([Put(key, documents[number & 63])])
                number += 1
                before, now = now, time.perf_counter()
                waits.append(now - before)

        await asyncio.gather(*(write(writer) for writer in range(writers)))
        return len(waits), waits

    return run


async def measured(case: Case, seconds: float, disk: CountingDisk) -> Slice:
    """Run one turn of a case."""
    flushes, loop, process, began = disk.flushes, time.thread_time(), time.process_time(), time.perf_counter()
    count, waits = await case(seconds)
    took = time.perf_counter() - began
    return Slice(
        count / took,
        (disk.flushes - flushes) / count,
        (time.thread_time() - loop) / count * 1e6,
        (time.process_time() - process) / count * 1e6,
        waits,
    )


async def measure(folder: Path, rounds: int, seconds: float) -> dict[str, list[Slice]]:
    """Run all cases in turns."""
    disk = CountingDisk()
    async with FileStore(str(folder / "data"), disk=disk) as store:
        cases: dict[str, Case] = {BASE: raw(folder, disk)}
        cases |= {f"FileStore put, {n} writer{'s' * (n > 1)}": puts(store, n) for n in (1, 8, 64, 256)}
        results: dict[str, list[Slice]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name in list(cases) if turn % 2 else reversed(cases):
                found = await measured(cases[name], seconds, disk)
                if turn:  # the first round warms up
                    results[name].append(found)
    return results


def report(results: dict[str, list[Slice]]) -> None:
    """Print the table."""
    print(
        "| case | puts/s median (min-max) | p50 us | p99 us | ratio to raw, median (min-max) "
        "| flushes/put | CPU us/put: loop thread | whole process |"
    )
    print("|---|---|---|---|---|---|---|---|")
    base = [one.rate for one in results[BASE]]
    for name, slices in results.items():
        rates = [one.rate for one in slices]
        ratios = [rate / other for rate, other in zip(rates, base, strict=True)]
        waits = sorted(wait for one in slices for wait in one.waits)
        p50, p99 = (waits[int(len(waits) * part)] * 1e6 for part in (0.5, 0.99))
        flushes, loop, process = (
            statistics.median(part) for part in zip(*(one[1:4] for one in slices), strict=True)
        )
        print(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
            f"| {p50:,.0f} | {p99:,.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) "
            f"| {flushes:.3f} | {loop:.1f} | {process:.1f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in a temporary folder (`--folder` says on which disk) and print a markdown table."""
    parser = argparse.ArgumentParser(prog="benchmarks store", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args(arguments)
    print(METHOD.format(rounds=options.rounds, seconds=options.seconds))
    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as folder:
        report(asyncio.run(measure(Path(folder), options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
