"""`holdfast store show`: entities as they are stored."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter

from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl
from holdfast.cli.output import Output
from holdfast.cli.store.reading import folder_of, reader
from holdfast.errors import EntityNotFound
from holdfast.store import Key, Record, Store
from holdfast.store.tools.refusing import refuse_encrypted

__all__ = ("show",)


def show(
    entity_name: Annotated[str, Parameter(help="The name, as `holdfast store ls` lists it.")],
    entity_id: Annotated[str | None, Parameter(help="Which one; without it, all of that name.")] = None,
    /,
    store: StoreUrl = DEFAULT_STORE,
    *,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show an entity, or all of one name, as JSON with the id of the commit that wrote it.

    Exit code 1 says that there is none, or that it cannot be read.

    Example: `holdfast store show signal.sma-cross BTCUSDT sqlite:state.db`
    """
    output = Output(json=json)
    folder_of(store, namespace)
    found = asyncio.run(_records(reader(store, namespace, looking=True), entity_name, entity_id))
    for record in found:
        key = {"entity_name": record.key.entity_name, "entity_id": record.key.entity_id}
        output.record("entity", {**key, "version": record.version, "value": record.value})
        output.say(f"{record.key.entity_name} {record.key.entity_id} (version {record.version})")
        output.say(msgspec.json.format(msgspec.json.encode(record.value), indent=2).decode())
    output.record("summary", {"entities": len(found)})


async def _records(store: Store, name: str, entity_id: str | None) -> list[Record]:
    async with store:
        await refuse_encrypted(store)
        if entity_id is None:
            found = [record async for record in store.scan(name)]
        else:
            found = [record for record in await store.get(Key(name, entity_id)) if record is not None]
        if not found:
            raise EntityNotFound(await _missing(store, name, entity_id))
        return found


async def _missing(store: Store, name: str, entity_id: str | None) -> str:
    known = (await store.names()).entities
    if name not in known:
        return f"there is no entity called {name!r}; there are: {', '.join(known) or 'none'}"
    ids = [record.key.entity_id async for record in store.scan(name, limit=20)]
    return f"there is no {entity_id!r} of {name}; there are: {', '.join(ids)}"
