"""Adapters of four methods: each method by itself, and the store that is built on them.

The checks of this module are about the methods; all others see the class as a store (`AdapterStore`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from holdfast.persist import AdapterStore, PersistBase
from holdfast.store import Store
from holdfast.testing.conformance.case import Case
from holdfast.testing.conformance.checks import Level, check
from holdfast.testing.conformance.recording import History, short
from holdfast.testing.conformance.subject import Subject, address_of, named
from holdfast.testing.conformance.values import GOOD

__all__ = ("PLACE", "Told", "adapter_store", "ready", "subject_of")

PLACE: Final = "conform"
SEPARATORS: Final = (":", "/", ".", "_", "-", "|", "#", "~")
"""What name and id may be joined by."""


def adapter_store(*, adapter: str, base_dir: str, namespace: str) -> Store:
    """Return the store on an adapter class, by its name, in a folder for each namespace; not open."""
    return AdapterStore({"signal": named(adapter)}, base_dir=base_dir, namespace=namespace)


def subject_of(adapter: str, *, base_dir: str, claims: Iterable[Level] | None = None, **more: Any) -> Subject:
    """Return the subject of a class of four methods ("module:Class")."""
    arguments = {"adapter": adapter, "base_dir": base_dir}
    call = f"{__name__}:adapter_store"
    return Subject.of_call(
        call, arguments, name=adapter, claims=claims, adapter=adapter, **more,
        at_folder=lambda folder: address_of(
            call, {"adapter": adapter, "base_dir": f"{folder}/made", "namespace": "default"}
        ),
    )  # fmt: skip


class Told:
    """An adapter whose four methods are written down, with what came of them."""

    def __init__(self, persist: PersistBase, history: History, name: str) -> None:
        self._persist = persist
        self._history = history
        self._name = name

    async def has_value(self, entity_id: str | int) -> bool:
        """Whether the adapter has an entity."""
        asked = f"has_value {short(entity_id)}"
        found: bool = await self._noted(asked, self._persist.has_value(entity_id), str)
        return found

    async def read_value(self, entity_id: str | int) -> Any:
        """Return an entity."""
        return await self._noted(f"read_value {short(entity_id)}", self._persist.read_value(entity_id), short)

    async def write_value(self, entity_id: str | int, value: Any) -> None:
        """Write an entity."""
        asked = f"write_value {short(entity_id)} {short(value)}"
        await self._noted(asked, self._persist.write_value(entity_id, value), lambda _: "done")

    async def _noted(self, asked: str, answer: Any, show: Any) -> Any:
        return await self._history.noted(f"{self._name}{asked}", answer, show)


async def ready(case: Case, entity_name: str = "one", base_dir: str = "", adapter: str = "") -> Told:
    """Return an adapter object that is ready; its entity name has nothing to do with other cases'."""
    make: Callable[[str, str], PersistBase] = named(adapter or case.subject.adapter)
    name = case.history.name().replace("store", "object")
    persist = make(f"{case.folder.name}.{entity_name}", f"{base_dir or case.folder}/{PLACE}")
    case.after(getattr(persist, "close", None))
    await persist.wait_for_init(True)
    return Told(persist, case.history, name)


@check(
    Level.CORE,
    promise="what the four methods write they read; absent is absent, and None is a value",
    needs=("adapter",),
)
async def methods(case: Case) -> None:
    """Write, look, read, write again; by a second object too; ids as numbers and odd ones."""
    persist = await ready(case)
    case.same(await persist.has_value("x"), False, "has_value of what was never written")
    try:
        found = await persist.read_value("x")
    except Exception:
        case.history.clear()  # as it should be
    else:
        case.broken(f"read_value returned {found!r} for what was never written")
    ids: list[Any] = ["x", 7, "..", "a/b", "BTC/USDT:USDT", "é", "X", "a b"]
    for number, entity_id in enumerate(ids):
        await persist.write_value(entity_id, {"number": number})
    await persist.write_value("none", None)
    case.same(await persist.has_value("none"), True, "has_value of None")
    other = await ready(case)
    for number, entity_id in enumerate(ids):
        case.same(await other.has_value(entity_id), True, f"has_value of {entity_id!r}")
        case.same(await other.read_value(entity_id), {"number": number}, f"read_value of {entity_id!r}")
    case.history.clear()
    await persist.write_value(7, {"number": -7})
    case.same(await other.has_value("7"), True, "has_value of '7', where 7 was written")


@check(Level.CORE, promise="the four methods give values back exactly", needs=("adapter",))
async def methods_values(case: Case) -> None:
    """Write every hard value and read it."""
    persist = await ready(case)
    for stored in GOOD:
        await persist.write_value("x", stored)
        case.same(await persist.read_value("x"), stored, "a value that was written")
        case.history.clear()
    case.tell(values=len(GOOD))


@check(Level.CORE, promise="entities of different names never meet, whatever name and id are put together",
       needs=("adapter",))  # fmt: skip
async def methods_apart(case: Case) -> None:
    """Write by objects of other names under one id, and where a name and an id, joined, are another name and id."""
    pairs = [("one", "x"), ("two", "x"), ("One", "x")]
    for joint in SEPARATORS:
        pairs += [(f"one{joint}two", "x"), ("one", f"two{joint}x")]
    await _written(case, [(*pair, "") for pair in pairs])


@check(Level.CORE, promise="folders of different domains never meet", needs=("adapter",))
async def methods_folders(case: Case) -> None:
    """Write under the same name and id by objects in two folders."""
    await _written(case, [("one", "x", ""), ("one", "x", f"{case.folder}/risk")])


@check(Level.CORE, promise="a write that raises has changed nothing", needs=("adapter",))
async def methods_refused(case: Case) -> None:
    """Write what an adapter cannot store over what it has."""
    persist = await ready(case)
    for bad in (object(), {"deep": [object()]}, {1, 2}):
        case.history.clear()
        await persist.write_value("x", {"number": 1})
        try:
            await persist.write_value("x", bad)
        except Exception:
            case.same(await persist.read_value("x"), {"number": 1}, "what is there after a write that raised")


@check(Level.CORE, promise="a value that is written or read belongs to who has it: nobody shares it",
       needs=("adapter",))  # fmt: skip
async def methods_own_values(case: Case) -> None:
    """Change what was given to the adapter, and what it returned."""
    persist = await ready(case)
    given = {"list": [1]}
    await persist.write_value("x", given)
    given["list"].append(2)
    found = await persist.read_value("x")
    case.same(found, {"list": [1]}, "after the caller changed what it had written")
    found["list"].append(3)
    case.same(await persist.read_value("x"), {"list": [1]}, "after the caller changed what it had read")


async def _written(case: Case, places: Sequence[tuple[str, str, str]]) -> None:
    """Write a value at each entity name, id and folder, and read all of them."""
    for number, (name, entity_id, folder) in enumerate(places):
        await (await ready(case, name, folder)).write_value(entity_id, number)
    for number, (name, entity_id, folder) in enumerate(places):
        found = await (await ready(case, name, folder)).read_value(entity_id)
        if repr(found) != repr(number):
            meets = places[found] if isinstance(found, int) and found < len(places) else found
            case.broken(f"{_place(places[number])} holds what was written at {_place(meets)}", [])


def _place(place: Any) -> str:
    name, entity_id, folder = place
    return f"{short(entity_id)} of {short(name)}{' in another folder' if folder else ''}"
