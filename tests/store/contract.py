"""The contract of stores, for backends and wrappers in any setting: give `StoreContract` a `store` that is not open.

What it checks are the conformance kit's own checks, as far as one store object in one process can be asked; those of
several processes, of crashes and of failing calls are made in tests/testing_conformance/test_backends.py, and by
`holdfast conform` on every backend.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest

from holdfast.store import Store
from holdfast.testing.conformance import Level, Pace, StoreConformance, Subject
from holdfast.testing.conformance.case import everything, value
from holdfast.testing.conformance.records import A, B, C
from tests.conftest import in_memory

__all__ = ("HISTORIES", "A", "B", "C", "StoreContract", "everything", "value")

HISTORIES = ("linear-one-key", "linear-keys", "linear-cancelled")
"""What many clients are told: tests of their own and the campaign make these."""

SIZES = ("scan-while-changing", "long-streams", "many-ids", "many-seen-whole", "many-changes", "big-values")
"""What takes long, and hangs on the backend, not on the setting."""


class StoreContract(StoreConformance):
    """Each rule of one store object by itself: records, values, names, lists, what is done at once or cancelled."""

    levels = frozenset({Level.CORE, Level.ATOMIC, Level.CONCURRENT})
    lacks = ("again", "elsewhere", "fresh", "hypothesis")
    without: ClassVar[tuple[str, ...]] = (*HISTORIES, *SIZES)
    pace = Pace(times=0.5, limit=60.0)

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """Yield a folder in memory, if there is one: nothing here is about disks."""
        with TemporaryDirectory(dir=in_memory()) as folder:
            yield Path(folder)

    @pytest.fixture
    def subject(self, store: Store) -> Subject:
        """Return the store as what is examined."""
        return Subject.of_store(store)
