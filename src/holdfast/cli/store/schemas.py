"""What the documents of a strategy's domains have to look like, for `verify`."""

from typing import Any, Final

from holdfast.persist.schemas import RISK, SIGNAL
from holdfast.runtime.live.seat import RUN
from holdfast.store.tools.verifying import Checks
from holdfast.trading.events import LIFECYCLE, Happening, from_document

__all__ = ("CHECKS",)

LIFECYCLE_NAMES: Final = {kind.__name__ for kind in LIFECYCLE}


def event(document: Any) -> Happening | None:
    """Return the event of a document; None for one of the user's own, or of a newer Holdfast. Raises ValueError."""
    if not isinstance(document, dict) or document.get("type") not in LIFECYCLE_NAMES:
        return None
    return from_document(document, 0)


CHECKS: Final[Checks] = {
    "signal.": SIGNAL.from_document,
    "schedule.": SIGNAL.from_document,
    "risk.": RISK.from_document,
    "run.": RUN.from_document,
    "history.": event,
}
"""By the beginning of an entity name or stream."""
