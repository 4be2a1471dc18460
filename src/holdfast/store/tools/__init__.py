"""Tools that work on any store: copy and move it, write it to a file and read it back, verify it, count it.

from holdfast.store.tools import copy
await copy(open_store("file:./logs/data"), open_store("postgresql://db/trading"), move=True)
"""

from typing import Final

from holdfast.store.tools.activating import activate
from holdfast.store.tools.comparing import Difference, differences
from holdfast.store.tools.copying import Copied, copy
from holdfast.store.tools.exporting import export
from holdfast.store.tools.importing import import_file
from holdfast.store.tools.stats import Stats, count
from holdfast.store.tools.verifying import verify

__all__ = (
    "POINTS",
    "Copied",
    "Difference",
    "Stats",
    "activate",
    "copy",
    "count",
    "differences",
    "export",
    "import_file",
    "verify",
)

POINTS: Final = (
    "activate.other-left",
    "copy.begun",
    "copy.committed",
    "copy.committing",
    "copy.compared",
    "copy.ended",
    "copy.source-marked",
    "export.flushed",
    "export.renamed",
    "export.written",
)
"""Every instant of these tools that `holdfast.points.reached` is told of."""
