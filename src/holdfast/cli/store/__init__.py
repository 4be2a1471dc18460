"""`holdfast store`: look into a store beside a bot that uses it, verify it, repair it."""

from typing import Final

from cyclopts import App

from holdfast.cli.store.history import history
from holdfast.cli.store.listing import ls
from holdfast.cli.store.show import show
from holdfast.cli.store.verify import repair, verify

__all__ = ("STORE",)

STORE: Final = App(name="store", help="Look into a store, also while a bot uses it; verify it, repair it.")
STORE.command(ls, sort_key=0)
STORE.command(show, sort_key=1)
STORE.command(history, sort_key=2)
STORE.command(verify, sort_key=3)
STORE.command(repair, sort_key=4)
