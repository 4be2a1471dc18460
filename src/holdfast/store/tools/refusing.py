"""What a copy refuses before it has changed anything, and what to do instead."""

from holdfast.errors import InvalidOption, StoreMissing
from holdfast.store.base import Store
from holdfast.store.tools.contents import names_of, records_of
from holdfast.store.tools.mark import Mark
from holdfast.store.tools.places import is_one, place_of
from holdfast.store.wrappers.encrypted import MARK as ENCRYPTED

__all__ = ("refuse_encrypted", "refuse_itself", "refuse_other_namespace", "refuse_source", "refuse_target")

OPEN = ("signal.", "schedule.")
SHOWN = 5


def refuse_itself(source: Store, target: Store) -> None:
    """Return unless both are the same namespace of the same place; raises InvalidOption."""
    if is_one(source, target):
        raise InvalidOption(f"{source.url} cannot be copied onto itself: give the copy another place")


def refuse_source(source: Store, mark: Mark | None, target: Store, begun: Mark | None, *, move: bool) -> bool:
    """Return whether the source has been marked already, by an earlier try of this move; raises InvalidOption."""
    if mark is None:
        return False
    if mark.state == "moved" and begun is not None and begun.copy == mark.copy:
        return True
    if mark.state == "moved":
        raise InvalidOption(f"{source.url} has moved to {mark.url}: copy from there", url=mark.url)
    if mark.state == "copying":
        raise InvalidOption(
            f"{source.url} is an unfinished copy of {mark.url}: finish it first, or copy that"
        )
    if move:
        raise InvalidOption(
            f"{source.url} is only a copy of {mark.url}: move that one; where it is gone for good, "
            "`holdfast store activate` makes this one the portfolio first",
            url=mark.url,
        )
    return False


async def refuse_encrypted(source: Store) -> None:
    """Return unless the store is encrypted and was opened without its key; raises InvalidOption."""
    if ENCRYPTED.entity_name in (await source.names()).entities:
        raise InvalidOption(
            f"{source.url} is encrypted: give its key (?encrypt_key_env=NAME or ?encrypt_key_file=PATH in the URL)"
        )


async def refuse_target(source: Store, target: Store, mark: Mark | None) -> None:
    """Return where the target is empty, a copy of this source, or where it moved from; raises InvalidOption."""
    names = await names_of(source)
    if not names.entities and not names.streams:
        raise StoreMissing(f"there is nothing in namespace {source.namespace!r} of {source.url}")
    if mark is not None:
        _refuse_other_copy(source, target, mark)
        return
    names = await names_of(target)
    if names.entities or names.streams:
        held = ", ".join([*names.entities, *names.streams][:SHOWN])
        raise InvalidOption(
            f"namespace {target.namespace!r} of {target.url} is not empty ({held}): copy to an empty place, another "
            "?namespace= there or another store. Nothing was changed. (No command deletes history; docs/moving.md says "
            "how a place is emptied by hand)"
        )


def _refuse_other_copy(source: Store, target: Store, mark: Mark) -> None:
    if mark.state == "moved" and (mark.url, mark.namespace) != (place_of(source), source.namespace):
        raise InvalidOption(
            f"{target.url} is not empty: it has moved to {mark.url} ({mark.namespace}), and can be moved back to from "
            "there only. Copy to an empty place, another ?namespace= there or another store",
            url=mark.url,
        )
    if (mark.url, mark.namespace) != (place_of(source), source.namespace):
        raise InvalidOption(
            f"{target.url} holds a copy of {mark.url} ({mark.namespace}), and this would be one of {place_of(source)} "
            f"({source.namespace}): copy from the same store as before, or to an empty place",
            url=mark.url,
        )


async def refuse_other_namespace(source: Store, target: Store) -> None:
    """Return where order ids stay what they are, or there is nothing open; raises InvalidOption otherwise."""
    if source.namespace == target.namespace:
        return
    found = [
        f"{name.partition('.')[2]} on {record.key.entity_id}"
        for name in (await names_of(source)).entities
        if name.startswith(OPEN)
        async for record in records_of(source, name)
        if record.value is not None
    ]
    if found:
        raise InvalidOption(
            f"namespace {source.namespace!r} has open signals ({', '.join(found[:SHOWN])}), and the ids of their "
            f"orders are made from its name: in namespace {target.namespace!r} they would not be found at "
            "the exchange again. Keep the namespace, or close them first"
        )
