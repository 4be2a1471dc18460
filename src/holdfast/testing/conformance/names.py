"""Core: names are only names. None reaches a path or a query, no two meet, and what cannot be one is refused."""

from typing import Any, Final

from holdfast.errors import InvalidKey
from holdfast.store import Append, Key, Put
from holdfast.testing.conformance.case import Case, everything, value
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.records import A, commit_all

__all__ = ("APART", "BAD", "ODD")

BAD: Final[tuple[Any, ...]] = ("", "\ud800", "a\0b", "x" * 513, "é" * 257, 1, None, b"x", ("x",))
ODD: Final = (
    "..", ".", "/etc/passwd", "../../x", "C:\\x", "CON", "nul.txt", "a.", "a ", " a", "x" * 512, "é" * 256, "%2E",
    "~", "a\nb", "a'b\"c", "'; DROP TABLE x; --", "{hash}", "a*b?[c]", "$where", "\u202egnp", "-rf", "\x01", "_id",
)  # fmt: skip
APART: Final = (
    "btc", "BTC", "Btc", "e\u0301", "\u00e9", "a/b", "a%2Fb", "a:b", "a", "b", "a/b/c", "x" * 512, "x" * 511 + "y",
    "1", "01", "1.0", " 1", "ss", "ß", "ﬁ", "fi",
)  # fmt: skip


@check(Level.CORE, promise="what cannot be a name is refused by InvalidKey, in reads and in commits")
async def bad_names(case: Case) -> None:
    """Use each bad name wherever a name can stand."""
    store = await case.store()
    for bad in BAD:
        case.history.clear()
        for key in (Key(bad, "x"), Key("x", bad)):
            with case.refused(InvalidKey, f"a Put of {key}"):
                await store.commit([Put(A, 1), Put(key, 1)])
            with case.refused(InvalidKey, f"a get of {key}"):
                await store.get(key)
        with case.refused(InvalidKey, f"an Append to {bad!r}"):
            await store.commit([Put(A, 1), Append(bad, 1)])
        for use in (store.scan(bad), store.read(bad)):
            with case.refused(InvalidKey, f"reading {bad!r}"):
                await everything(use)
        with case.refused(InvalidKey, f"a commit id {bad!r}"):
            await store.commit([Put(A, 1)], commit_id=bad if bad is not None else "")
    case.same(await store.get(A), [None], "after refused commits")


@check(Level.CORE, promise="an odd name is only a name: it is stored, listed and found again like any other")
async def odd_names(case: Case) -> None:
    """Use each odd name as entity name, as id and as stream."""
    store = await case.store()
    for odd in ODD:
        case.history.clear()
        key = Key(odd, odd)
        await store.commit([Put(key, odd), Append(odd, odd)])
        case.same(await value(store, key), odd, f"the record {odd!r}")
        case.same([r.key for r in await everything(store.scan(odd))], [key], f"the scan of {odd!r}")
        case.same([e.value for e in await everything(store.read(odd))], [odd], f"the stream {odd!r}")
    names = await store.names()
    case.same(names.entities, tuple(sorted(ODD)), "the entity names")
    case.same(names.streams, tuple(sorted(ODD)), "the streams")
    case.tell(names=len(ODD))


@check(Level.CORE, promise="no two names meet, however alike they are")
async def names_apart(case: Case) -> None:
    """Write under every pair of names that some system takes for one, and read all of them."""
    store = await case.store()
    pairs = [(one, other) for one in APART for other in APART]
    case.random.shuffle(pairs)
    await commit_all(case, store, [Put(Key(*pair), list(pair)) for pair in pairs])
    records = await store.get(*(Key(*pair) for pair in pairs))
    for pair, record in zip(pairs, records, strict=True):
        if record is None or record.value != list(pair):
            case.history.clear()
            case.broken(f"{pair} holds {record and record.value}")
    for name in APART:
        found = [record.key.entity_id for record in await everything(store.scan(name))]
        case.same(found, sorted(APART, key=str.encode), f"the ids of {name!r}")
    await store.commit([Append(name, name) for name in APART])
    for name in APART:
        case.same([e.value for e in await everything(store.read(name))], [name], f"the stream {name!r}")


@check(Level.CORE, promise="namespaces never meet: keys, streams, names and commit ids of one are not another's",
       needs=("fresh",))  # fmt: skip
async def namespaces_apart(case: Case) -> None:
    """Commit under the same names and the same id in three namespaces, two of them alike."""
    base = case.namespace()
    stores = [await case.store(name) for name in (base, base.upper(), f"{base}.x")]
    for number, store in enumerate(stores):
        await store.commit([Put(A, number), Append("history", number)], commit_id="the-same")
    for number, store in enumerate(stores):
        case.same(await value(store, A), number, "the record of a namespace")
        case.same([e.value for e in await everything(store.read("history"))], [number], "its stream")
        case.same((await store.names()).entities, (A.entity_name,), "its names")
