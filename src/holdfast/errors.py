"""Every error Holdfast raises, in one tree: catch `HoldfastError`, or the leaf that you can mend.

    HoldfastError
    ├── StoreError   Conflict Corrupt FromTheFuture InvalidKey InvalidValue EntityNotFound StoreInUse
    │                StoreMissing StoreFull Unavailable WentBack Unsupported NotOpen AdapterInUse LeaseHeld
    │                LeaseLost
    ├── MarketError  BadCandles MarketEnded
    ├── BrokerError  Rejected Unknown
    └── RunError     InvalidSignal InvalidOption NotRegistered AlreadyRegistered InvalidTarget
                     Orphaned WrongNamespace NotActive Halted

Each takes a message for people (what, where, what to do) and keeps its facts as keyword attributes:
`Conflict("…", key=key, expected=a, found=b).found`. A driver's exception is only ever the `__cause__`.
"""

from typing import Any


class HoldfastError(Exception):
    """The root of all that Holdfast raises on purpose; its facts are attributes, never parsed from text."""

    def __init__(self, message: str = "", /, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


# fmt: off
class StoreError(HoldfastError): """A store could not do what was asked."""
class MarketError(HoldfastError): """Candles or an exchange are not usable."""
class BrokerError(HoldfastError): """An order did not go the usual way."""
class RunError(HoldfastError): """A desk, strategy or run was asked for something it cannot do."""

class Conflict(StoreError): """`key` is not what the commit `expected` but `found`; nothing was changed."""
class Corrupt(StoreError): """Bytes of `key` are there and cannot be trusted (`reason`); kept at `path`."""
class FromTheFuture(StoreError): """Written by a newer Holdfast than this one; nothing was changed."""
class InvalidKey(StoreError): """A key that cannot be stored; refused before anything was written."""
class InvalidValue(StoreError): """A value that would not read back as it is; refused before any write."""
class EntityNotFound(StoreError, LookupError): """There is no entity of that id: absent, not unreadable."""
class StoreInUse(StoreError): """Another process (`pid`, `host`, `since`) has the store open for writing."""
class StoreMissing(StoreError): """There is no store at that place, and it was not to be created."""
class StoreFull(StoreError): """The disk has no room (or no inodes) left; nothing acknowledged was lost."""
class Unavailable(StoreError): """The store cannot answer (`retryable`?); `unknown`: the commit may have happened."""
class WentBack(StoreError): """The store lost commits that it had acknowledged (`known`, `found` heads)."""
class Diverged(StoreError): """A replica is not what its primary would have made of it; nothing was overwritten."""
class Unsupported(StoreError): """The store or adapter cannot do this; the message says which one can."""
class NotOpen(StoreError): """The store is not open: use `async with`, or await `open()`."""
class AdapterInUse(StoreError): """Adapters are chosen before a run starts, not while it uses them."""
class LeaseHeld(StoreError): """Another live run has this strategy and symbol."""
class LeaseLost(StoreError): """This run has lost its strategy and symbol to another one."""

class BadCandles(MarketError): """A candle cannot be right: `row` and `reason` say which and why."""
class MarketEnded(MarketError): """The replayed or simulated market has no further candle."""

class Rejected(BrokerError): """The exchange's final no (`reason`): nothing was executed."""
class Unknown(BrokerError): """No answer: the order may or may not have been executed. Look it up."""

class InvalidSignal(RunError): """A strategy's answer breaks a rule: `field`, `rule`."""
class InvalidOption(RunError): """An option, argument or URL that makes no sense here."""
class NotRegistered(RunError): """No strategy, exchange or risk profile has that name (`known` lists them)."""
class AlreadyRegistered(RunError): """That name is taken on this desk."""
class InvalidTarget(RunError): """The file, module or desk named on the command line cannot be used."""
class Orphaned(RunError): """Open positions would be unwatched (`positions`): adopt, flatten or ignore them."""
class WrongNamespace(RunError): """The namespace belongs to another exchange, account or mode."""
class NotActive(RunError): """The namespace is a copy, or has moved (`state`, `url`): nobody trades on it."""
class Halted(RunError): """A symbol is halted (`reason`) until a person has looked."""
# fmt: on
