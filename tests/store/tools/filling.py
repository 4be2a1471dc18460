"""What the tests of the tools fill a store with: odd names, odd values, more than a batch of everything."""

from typing import Any, Final

from holdfast.store import Append, Key, Put, Store

__all__ = ("EVENTS", "ODD", "RECORDS", "fill")

ODD: Final[list[Any]] = [
    None,
    True,
    0,
    -0.0,
    1.5,
    5e-324,
    2**63 - 1,
    -(2**63),
    "",
    'é\u2028"\\\n',
    [],
    {},
    {"b": 1, "a": [1, 1.0]},
]
NAMES: Final = ["..", "a/b", "é", "\U0001f600", "BTC/USDT:USDT", "x" * 300]
RECORDS: Final = 600 + len(ODD) + len(NAMES) ** 2 + 3
EVENTS: Final = 1_101


async def fill(store: Store) -> None:
    """Commit it all."""
    await store.commit([Put(Key("signal.s", f"id-{n}"), n) for n in range(600)])
    await store.commit([Put(Key("state.odd", f"{n}"), value) for n, value in enumerate(ODD)])
    await store.commit([Put(Key(name, other), [name, other]) for name in NAMES for other in NAMES])
    await store.commit([Put(Key("big", str(n)), "y" * 400_000) for n in range(3)])
    for start in range(0, 1_000, 100):
        await store.commit([Append("history.s.X", {"n": start + n}) for n in range(100)])
    await store.commit([Append("history.é", n) for n in range(100)] + [Append("system.s.X", None)])
