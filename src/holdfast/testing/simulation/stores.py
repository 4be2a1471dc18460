"""The stores of a run, and what each of its processes is handed: the real wrappers over them, as the plan says.

A replica is a server on a machine of its own. Once it was promoted it is the primary, and a third server its replica.
"""

from typing import TYPE_CHECKING, Any, Final

from holdfast.persist.adapter_store import AdapterStore
from holdfast.store import Store
from holdfast.store.backends.file.store import FileStore
from holdfast.store.wrappers.cached import Cached
from holdfast.store.wrappers.encrypted import encrypted
from holdfast.store.wrappers.keyring import Keyring
from holdfast.store.wrappers.observed import observed
from holdfast.store.wrappers.replicated import Replicated, replicated
from holdfast.store.wrappers.sealing import Sealer
from holdfast.testing.simulation.chronicle import Annals, Chronicle, view_of
from holdfast.testing.simulation.network import Network
from holdfast.testing.simulation.plan import Plan
from holdfast.testing.simulation.process import SimulatedProcess
from holdfast.testing.simulation.rows import rows_of
from holdfast.testing.simulation.server import SERVER, SharedClient, StoreServer
from holdfast.testing.simulation.sparing import SPARE
from holdfast.testing.simulation.world import World

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ("EXTRAS", "THIRD", "Stores")

FOLDER: Final = "/srv/bot/data"
KEYS: Final = "simulated:" + "c2ltdWxhdGVkIGtleSwgMzIgYnl0ZXMgbG9uZyEhISE"
THIRD: Final = "third"
EXTRAS: Final = ("encrypt", "metrics")
"""What brings the wrappers that are among the runs."""


class Stores:
    """Where a run's portfolio is: on files or a server; with a replica, and after a promotion, on that.

    `annals` are the primary's, `before` those of the primary before a promotion.
    """

    def __init__(self, plan: Plan, world: World, network: Network) -> None:
        self.promoted = False
        self.annals = self.before = Annals()
        self.servers = {SERVER: StoreServer(world)}
        for name in (SPARE, THIRD) if plan.replicated else ():
            self.servers[name] = StoreServer(world, name, replica=True)
        if plan.encrypted:
            sealer = Sealer(Keyring(KEYS), "default")
            for server in self.servers.values():
                server.opened = sealer.record
        self._plan = plan
        self._world = world
        self._network = network
        self._registry = _registry() if plan.observed else None

    @property
    def replica(self) -> StoreServer:
        """The server that follows now."""
        return self.servers[THIRD if self.promoted else SPARE]

    def promote(self) -> None:
        """Take the replica for the primary from now on."""
        spare = self.servers[SPARE]
        spare.replica, self.promoted = False, True
        self.before, self.annals = self.annals, Annals(view_of(spare.store))

    def of(self, process: SimulatedProcess) -> Store:
        """Return the store that a bot is handed, in the order in which a URL's options wrap it."""
        plan = self._plan
        store: Store = self.replicated(process) if plan.replicated else self.old(process)
        if plan.encrypted:
            random = self._world.chance(f"{process.name}/nonces").randbytes
            store = encrypted(store, Keyring(KEYS, random=random), ids=process.ids)
        if plan.cached:
            store = Cached(store, size=100, max_age=60.0, clock=process)
        if self._registry is not None:
            store = observed(store, self._registry, clock=process)
        return store

    def replicated(self, process: SimulatedProcess) -> Replicated:
        """Return the primary, with what follows it."""
        return replicated(
            Chronicle(self.bare(process), self.annals), [self.client(process, self.replica.name)],
            clock=process, ids=process.ids, poll=self._plan.poll,
        )  # fmt: skip

    def client(self, process: SimulatedProcess, server: str) -> SharedClient:
        """Return a server's store as a process has it."""
        return SharedClient(process, self._network, self.servers[server])

    def bare(self, process: SimulatedProcess) -> Store:
        """Return what the portfolio is on now, without wrappers."""
        return self.client(process, SPARE) if self.promoted else self.old(process)

    def old(self, process: SimulatedProcess) -> Store:
        """Return what the portfolio began on, without wrappers."""
        if self._plan.stores == "shared":
            return self.client(process, SERVER)
        if self._plan.stores == "adapter":
            options: Any = {"clock": process, "ids": process.ids, "disk": process.disk}
            return AdapterStore({"signal": rows_of(process)}, base_dir=FOLDER, **options)
        return FileStore(
            FOLDER, clock=process, ids=process.ids, disk=process.disk, threads=process.threads,
            segment_bytes=self._plan.segment_bytes, checkpoint_seconds=self._plan.checkpoint_seconds,
        )  # fmt: skip


def _registry() -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry  # which only the extra `metrics` brings

    return CollectorRegistry()
