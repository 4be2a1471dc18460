"""A full store on adapters of four methods."""

from collections.abc import Mapping

from holdfast.errors import Unsupported
from holdfast.persist.domains import Ctor
from holdfast.store.backends.memory import MemoryStore
from holdfast.system import Clock, Ids, system_ids

__all__ = ("AdapterStore",)


class AdapterStore(MemoryStore):
    """A namespace on adapters of four methods."""

    def __init__(
        self,
        ctors: Mapping[str, Ctor],
        *,
        base_dir: str,
        namespace: str = "default",
        clock: Clock | None = None,
        ids: Ids = system_ids,
    ) -> None:
        raise Unsupported("adapters of four methods are not served yet")
