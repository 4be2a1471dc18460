"""`python -m benchmarks [NAME] [OPTIONS]`: run one benchmark, or all of them, and say on what machine."""

import os
import platform
import sys
from datetime import UTC, datetime

from benchmarks import backtest, store, stores

BENCHMARKS = {"store": store, "backtest": backtest, "stores": stores}


def machine() -> str:
    """Return where and when this is measured, and what else the machine is busy with."""
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {processor()}, {os.cpu_count()} cores, load {load}\n"
        f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()}), "
        f"{platform.system()} {platform.release()}"
    )


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def main(arguments: list[str]) -> None:
    """Run the benchmark of the first argument with the rest as its options; without one all that need no servers."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is not None and name not in BENCHMARKS:
        sys.exit(f"there is no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    if name is None and arguments:
        sys.exit(f"options belong to one benchmark; name it first: {', '.join(BENCHMARKS)}")
    print(machine())
    for each in ("store", "backtest") if name is None else (name,):
        print(f"\n## {each}\n")
        BENCHMARKS[each].main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
