"""What a domain holds, typed, on the desk's one store: the faces under which adapters are registered.

Each read and write opens the store if no run has it open, and is one atomic commit; while a run is in the
background it is done on the run's event loop. What is written here while a run trades counts like another
process's write: the run's next step conflicts, reloads and decides anew.
"""

from typing import Any, ClassVar

from holdfast.persist.adapters import Adapters
from holdfast.persist.domains import Ctor, key_of
from holdfast.persist.schemas import RISK, RISK_ID, SIGNAL
from holdfast.store import Put, Record
from holdfast.trading.risk import Positions
from holdfast.trading.signal import SignalRow

__all__ = (
    "DomainAdapter",
    "HistoryAdapter",
    "RiskAdapter",
    "RunAdapter",
    "ScheduleAdapter",
    "SignalAdapter",
    "StateAdapter",
    "SystemAdapter",
)


class DomainAdapter:
    """One domain of a desk's store."""

    domain: ClassVar[str]

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters

    def _use(self, ctor: Ctor) -> None:
        self._adapters.use(self.domain, ctor)

    async def _read(self, owner: str, entity_id: str) -> Any:
        record = await self._record(owner, entity_id)
        return None if record is None else record.value

    async def _has(self, owner: str, entity_id: str) -> bool:
        return await self._record(owner, entity_id) is not None

    async def _write(self, owner: str, entity_id: str, document: Any) -> None:
        change = Put(key_of(self.domain, owner, entity_id), document)
        await self._adapters.on_store(lambda store: store.commit([change]))

    async def _record(self, owner: str, entity_id: str) -> Record | None:
        key = key_of(self.domain, owner, entity_id)
        [record] = await self._adapters.on_store(lambda store: store.get(key))
        return record


class SignalAdapter(DomainAdapter):
    """The live signals, by strategy and symbol."""

    domain = "signal"

    def use_persist_signal_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(strategy_name, base_dir)` serve the signals, and every domain without its own adapter.

        Raises AdapterInUse once a run has started.
        """
        self._use(ctor)

    async def read_signal_data(self, strategy_name: str, symbol: str) -> SignalRow | None:
        """Return the live signal, None where there is none; raises Corrupt where it is unreadable."""
        document = await self._read(strategy_name, symbol)
        return None if document is None else SIGNAL.from_document(document)

    async def write_signal_data(self, row: SignalRow | None, strategy_name: str, symbol: str) -> None:
        """Store the signal, or clear it (None), in one atomic write; the entity is there in both cases."""
        await self._write(strategy_name, symbol, None if row is None else SIGNAL.to_document(row))

    async def has_signal_data(self, strategy_name: str, symbol: str) -> bool:
        """Whether a signal, or its clearing, was ever stored."""
        return await self._has(strategy_name, symbol)


class ScheduleAdapter(DomainAdapter):
    """The signals that wait for their entry price, by strategy and symbol."""

    domain = "schedule"

    def use_persist_schedule_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(strategy_name, base_dir)` serve the scheduled signals; AdapterInUse once a run has started."""
        self._use(ctor)

    async def read_schedule_data(self, strategy_name: str, symbol: str) -> SignalRow | None:
        """Return the scheduled signal, None where there is none; raises Corrupt where it is unreadable."""
        document = await self._read(strategy_name, symbol)
        return None if document is None else SIGNAL.from_document(document)

    async def write_schedule_data(self, row: SignalRow | None, strategy_name: str, symbol: str) -> None:
        """Store the scheduled signal, or clear it (None), in one atomic write."""
        await self._write(strategy_name, symbol, None if row is None else SIGNAL.to_document(row))

    async def has_schedule_data(self, strategy_name: str, symbol: str) -> bool:
        """Whether a scheduled signal, or its clearing, was ever stored."""
        return await self._has(strategy_name, symbol)


class RiskAdapter(DomainAdapter):
    """The positions of each risk profile."""

    domain = "risk"

    def use_persist_risk_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(profile, base_dir)` serve the risk profiles; AdapterInUse once a run has started."""
        self._use(ctor)

    async def read_risk_data(self, profile: str) -> Positions | None:
        """Return the profile's positions, None where there are none; raises Corrupt where they are unreadable."""
        document = await self._read(profile, RISK_ID)
        return None if document is None else RISK.from_document(document)

    async def write_risk_data(self, positions: Positions | None, profile: str) -> None:
        """Store the profile's positions, or clear them (None), in one atomic write."""
        await self._write(profile, RISK_ID, None if positions is None else RISK.to_document(positions))

    async def has_risk_data(self, profile: str) -> bool:
        """Whether positions of the profile, or their clearing, were ever stored."""
        return await self._has(profile, RISK_ID)


class StateAdapter(DomainAdapter):
    """The strategies' own documents (`ctx.state`), by strategy and symbol."""

    domain = "state"

    def use_persist_state_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(strategy_name, base_dir)` serve the strategies' state; AdapterInUse once a run has started."""
        self._use(ctor)

    async def read_state_data(self, strategy_name: str, symbol: str) -> dict[str, Any] | None:
        """Return the strategy's document, a copy; None where there is none."""
        document: dict[str, Any] | None = await self._read(strategy_name, symbol)
        return document

    async def write_state_data(self, state: dict[str, Any] | None, strategy_name: str, symbol: str) -> None:
        """Store the strategy's document, or clear it (None), in one atomic write."""
        await self._write(strategy_name, symbol, state)

    async def has_state_data(self, strategy_name: str, symbol: str) -> bool:
        """Whether a document, or its clearing, was ever stored."""
        return await self._has(strategy_name, symbol)


class RunAdapter(DomainAdapter):
    """How far each strategy has come on each symbol; only a run writes here."""

    domain = "run"

    def use_persist_run_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(strategy_name, base_dir)` serve the runs' own facts; AdapterInUse once a run has started."""
        self._use(ctor)


class HistoryAdapter(DomainAdapter):
    """What happened to each signal, in market time; only a run writes here."""

    domain = "history"

    def use_persist_history_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(owner, base_dir)` serve the history streams; AdapterInUse once a run has started."""
        self._use(ctor)


class SystemAdapter(DomainAdapter):
    """What happened to each run, in wall time; only a run writes here."""

    domain = "system"

    def use_persist_system_adapter(self, ctor: Ctor) -> None:
        """Let `ctor(owner, base_dir)` serve the system streams; AdapterInUse once a run has started."""
        self._use(ctor)
