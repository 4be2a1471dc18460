"""The conformance kit: anyone can see whether a backend deserves trust. Run it on your own by one fixture or command.

    holdfast conform sqlite:///state.db                     # or module:Class, or redis: a server of its own
    pytest --holdfast-store sqlite:///state.db

    class TestMine(StoreConformance):                       # each check is a test
        @pytest.fixture
        def subject(self, tmp_path): return Subject.of_call("mine:store", {"folder": str(tmp_path)})

A backend claims levels (`Level`), and each is proved or refuted by checks of its own (`check`). What a check cannot
look at on this machine is *not shown*, never passed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from holdfast.testing.conformance.case import Bench, Case, Pace
    from holdfast.testing.conformance.checks import (
        Broken,
        Check,
        Level,
        NotShown,
        SaysNothing,
        all_checks,
        check,
    )
    from holdfast.testing.conformance.classes import PersistConformance, StoreConformance
    from holdfast.testing.conformance.examining import NORMAL, QUICK, THOROUGH, Report, Result, examine
    from holdfast.testing.conformance.subject import Subject

__all__ = (
    "NORMAL", "QUICK", "THOROUGH", "Bench", "Broken", "Case", "Check", "Level", "NotShown", "Pace",
    "PersistConformance", "Report", "Result", "SaysNothing", "StoreConformance", "Subject", "all_checks", "check",
    "examine",
)  # fmt: skip

_HOMES: Final = {
    "case": ("Bench", "Case", "Pace"),
    "checks": ("Broken", "Check", "Level", "NotShown", "SaysNothing", "all_checks", "check"),
    "classes": ("PersistConformance", "StoreConformance"),  # which need pytest
    "examining": ("NORMAL", "QUICK", "THOROUGH", "Report", "Result", "examine"),
    "subject": ("Subject",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    return value
