"""A namespace that is being left: nobody alive trades it, and whoever thinks so has lost its lease from then on."""

from collections.abc import Sequence

from holdfast.errors import StoreInUse
from holdfast.store.backends.file.reader import FileReader
from holdfast.store.base import Change, Delete, Record, Store
from holdfast.store.tools.contents import is_lease
from holdfast.store.tools.writing import settled
from holdfast.store.workers import WORKER, Watch, worker_key
from holdfast.store.wrappers.base import Wrapper
from holdfast.system import Clock, Ids, Processes

__all__ = ("leave", "refuse_living")

LOOK = 0.25


async def refuse_living(store: Store, *, clock: Clock, processes: Processes) -> None:
    """Return where no process that trades the namespace is alive; raises StoreInUse that names one.

    A process of another machine is watched for its lease's time first. Of a store that one process alone can open,
    and that was opened to be read, its lock is looked at.
    """
    _refuse_locked(store)
    watch = Watch(store, clock=clock, processes=processes)
    for record in [record async for record in store.scan(worker_key("x").entity_name)]:
        name = record.key.entity_id
        while (alive := await watch.alive(name)) is None:
            await clock.sleep(LOOK)
        if alive:
            worker = WORKER.from_document(record.value)
            where = f"process {worker.process.pid} on {worker.process.host}"
            raise StoreInUse(
                f"{where} trades from {store.url}: stop it first (SIGTERM lets go and leaves positions as they are)",
                pid=worker.process.pid,
                host=worker.process.host,
                since=0,
            )


def _refuse_locked(store: Store) -> None:
    while isinstance(store, Wrapper):
        store = store.inner
    if isinstance(store, FileReader):
        store.refuse_in_use()


async def leave(
    store: Store, changes: Sequence[Change], *, clock: Clock, ids: Ids, processes: Processes
) -> None:
    """Commit changes that end the namespace's use, and take all leases away, in the same commit and until none is left.

    Every commit of a run checks its lease, so that one which goes on unnoticed commits nothing more. One that takes
    its lease after these changes finds them: a run looks once it has it.
    """
    await refuse_living(store, clock=clock, processes=processes)
    gone = await _leases(store)
    await settled(store, [*changes, *gone], clock=clock, ids=ids)
    while gone := await _leases(store):
        await settled(store, gone, clock=clock, ids=ids)


async def _leases(store: Store) -> list[Change]:
    """Return what takes every lease that there is away."""
    names = [name for name in (await store.names()).entities if is_lease(name)]
    held: list[Record] = [record for name in names async for record in store.scan(name)]
    return [Delete(record.key, record.version) for record in held]
