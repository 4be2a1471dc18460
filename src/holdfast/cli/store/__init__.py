"""`holdfast store`: look into any store beside a bot that uses it; verify it, copy it, move it, write it to a file."""

from collections.abc import Callable
from typing import Final

from cyclopts import App

from holdfast.cli.store.activate import activate
from holdfast.cli.store.copy import copy
from holdfast.cli.store.files import export, import_
from holdfast.cli.store.history import history
from holdfast.cli.store.key import key
from holdfast.cli.store.listing import ls
from holdfast.cli.store.promote import promote
from holdfast.cli.store.replicas import replicas
from holdfast.cli.store.reseed import reseed
from holdfast.cli.store.show import show
from holdfast.cli.store.stats import stats
from holdfast.cli.store.upkeep import accept_loss, forget, unreplicate
from holdfast.cli.store.verify import repair, verify

__all__ = ("STORE",)

HELP: Final = """Look into a store, also while a bot uses it; verify it, copy it, move it, write it to a file.

A store is a URL (file:./logs/data, sqlite:state.db, redis://host/0, postgresql://host/db, mongodb://host/db, or a third
party's), or a file.py or module:desk whose desk has a store or adapters of its own.
"""

STORE: Final = App(name="store", help=HELP)
COMMANDS: Final[dict[str, Callable[..., int | None]]] = {
    "ls": ls,
    "show": show,
    "history": history,
    "stats": stats,
    "verify": verify,
    "repair": repair,
    "copy": copy,
    "activate": activate,
    "export": export,
    "import": import_,
    "replicas": replicas,
    "promote": promote,
    "accept-loss": accept_loss,
    "reseed": reseed,
    "forget": forget,
    "unreplicate": unreplicate,
    "key": key,
}
for place, (name, command) in enumerate(COMMANDS.items()):
    STORE.command(command, name=name, sort_key=place)
