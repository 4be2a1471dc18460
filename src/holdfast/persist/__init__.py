"""The entity view of a store, and the adapters that let a database of the user's own hold all state.

    PersistSignalAdapter.use_persist_signal_adapter(RedisPersist)

The adapters here are those of the default desk.
"""

from typing import Final

from holdfast.persist.adapter_store import AdapterStore
from holdfast.persist.adapters import Adapters
from holdfast.persist.base import EntityId, PersistBase
from holdfast.persist.data import (
    HistoryAdapter,
    RiskAdapter,
    RunAdapter,
    ScheduleAdapter,
    SignalAdapter,
    StateAdapter,
    SystemAdapter,
)
from holdfast.persist.view import persist_of

__all__ = (
    "DEFAULT",
    "POINTS",
    "AdapterStore",
    "Adapters",
    "EntityId",
    "PersistBase",
    "PersistHistoryAdapter",
    "PersistRiskAdapter",
    "PersistRunAdapter",
    "PersistScheduleAdapter",
    "PersistSignalAdapter",
    "PersistStateAdapter",
    "PersistSystemAdapter",
    "persist_of",
)

POINTS = (
    "adapter.host-noted",
    "adapter.owner-written",
    "adapter.map-written",
    "adapter.commit-planned",
    "adapter.redo-written",
    "adapter.entity-written",
    "adapter.redo-repeated",
    "adapter.entity-repeated",
    "adapter.released",
)
"""Crash points: instants between any two writes of an adapter, in commits and in recovery."""

DEFAULT: Final = Adapters()
"""The adapters of the default desk."""

PersistSignalAdapter: Final = SignalAdapter(DEFAULT)
PersistScheduleAdapter: Final = ScheduleAdapter(DEFAULT)
PersistRiskAdapter: Final = RiskAdapter(DEFAULT)
PersistStateAdapter: Final = StateAdapter(DEFAULT)
PersistRunAdapter: Final = RunAdapter(DEFAULT)
PersistHistoryAdapter: Final = HistoryAdapter(DEFAULT)
PersistSystemAdapter: Final = SystemAdapter(DEFAULT)
