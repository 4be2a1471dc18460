"""The tests that `pytest --holdfast-store TARGET` collects: each check of the levels that the target claims."""

from collections.abc import Iterator

import pytest

from holdfast.testing.conformance.checks import Check
from holdfast.testing.conformance.classes import PersistConformance
from holdfast.testing.conformance.examining import PACES
from holdfast.testing.conformance.subject import Subject
from holdfast.testing.conformance.target import at

__all__ = ("TestStore", "given")


@pytest.fixture(scope="module")
def given(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Yield what the option names."""
    with at(request.config.getoption("--holdfast-store")) as subject:
        yield subject


class TestStore(PersistConformance):
    """What `--holdfast-store` names."""

    @pytest.fixture
    def subject(self, given: Subject, request: pytest.FixtureRequest) -> Subject:
        """Return what the option names, to be examined as the other options say."""
        vars(self)["seed"] = request.config.getoption("--holdfast-seed")
        vars(self)["pace"] = PACES[request.config.getoption("--holdfast-pace")]
        return given

    @classmethod
    def chosen(cls, config: pytest.Config) -> list[Check]:
        """Return the checks of the levels that were asked for."""
        levels = config.getoption("--holdfast-level")
        return [one for one in super().chosen(config) if not levels or one.level in levels]
