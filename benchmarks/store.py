"""How fast a durable put is, against the disk itself: `python benchmarks/store.py [--rounds N] [--seconds S]`.

Base: one thread that does pwrite + fdatasync of 1 KB into a preallocated file, which is all a durable write
needs. Cases take turns in short slices, the order is turned each round, and the ratio to the base is taken
within its round, so that a machine that speeds up or slows down meanwhile changes little.
"""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from holdfast.store import Key, Put
from holdfast.store.backends.file.disk import Disk
from holdfast.store.backends.file.store import FileStore

BASE = "raw pwrite+fdatasync, 1 writer"
Case = Callable[[float], Awaitable[tuple[int, int, list[float]]]]


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


def raw(folder: Path) -> Case:
    """Return the base case."""
    fd = os.open(folder / "raw", os.O_RDWR | os.O_CREAT, 0o600)
    size = 64 << 20
    for offset in range(0, size, 1 << 20):
        os.pwrite(fd, bytes(1 << 20), offset)
    os.fsync(fd)
    payload = os.urandom(1024)

    async def run(seconds: float) -> tuple[int, int, list[float]]:
        count, now = 0, time.perf_counter()
        end, waits = now + seconds, []
        while now < end:
            os.pwrite(fd, payload, count * 1024 % size)
            os.fdatasync(fd)
            count += 1
            before, now = now, time.perf_counter()
            waits.append(now - before)
        return count, count, waits

    return run


def puts(store: FileStore, disk: CountingDisk, writers: int) -> Case:
    """Return the case of that many concurrent writers, each waiting for its put before the next."""
    documents = [document(i) for i in range(64)]

    async def run(seconds: float) -> tuple[int, int, list[float]]:
        waits: list[float] = []
        flushes = disk.flushes
        end = time.perf_counter() + seconds

        async def write(writer: int) -> None:
            key, number, now = Key("signal.bench", f"S{writer}"), writer, time.perf_counter()
            while now < end:
                await store.commit([Put(key, documents[number & 63])])
                number += 1
                before, now = now, time.perf_counter()
                waits.append(now - before)

        await asyncio.gather(*(write(writer) for writer in range(writers)))
        return len(waits), disk.flushes - flushes, waits

    return run


async def measure(
    folder: Path, rounds: int, seconds: float
) -> dict[str, list[tuple[float, float, list[float]]]]:
    """Run all cases in turns and return rate, flushes per put and waits of each slice."""
    disk = CountingDisk()
    async with FileStore(str(folder / "data"), disk=disk) as store:
        cases: dict[str, Case] = {BASE: raw(folder)}
        cases |= {f"FileStore put, {n} writer{'s' * (n > 1)}": puts(store, disk, n) for n in (1, 8, 64, 256)}
        results: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name in list(cases) if turn % 2 else reversed(cases):
                began = time.perf_counter()
                count, flushes, waits = await cases[name](seconds)
                if turn:  # the first round warms up
                    results[name].append((count / (time.perf_counter() - began), flushes / count, waits))
    return results


def report(results: dict[str, list[tuple[float, float, list[float]]]]) -> None:
    """Print the table."""
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores\n"
    )
    print(
        "| case | puts/s median (min-max) | p50 us | p99 us | ratio to raw, median (min-max) | flushes/put |"
    )
    print("|---|---|---|---|---|---|")
    base = [rate for rate, _, _ in results[BASE]]
    for name, slices in results.items():
        rates = [rate for rate, _, _ in slices]
        ratios = [rate / other for rate, other in zip(rates, base, strict=True)]
        waits = sorted(wait for _, _, found in slices for wait in found)
        p50, p99 = (waits[int(len(waits) * part)] * 1e6 for part in (0.5, 0.99))
        flushes = statistics.median(part for _, part, _ in slices)
        print(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
            f"| {p50:,.0f} | {p99:,.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {flushes:.3f} |"
        )


def main() -> None:
    """Measure in a temporary folder (`--folder` says on which disk) and print a markdown table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as folder:
        report(asyncio.run(measure(Path(folder), options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
