"""`pytest --holdfast-store URL`: the conformance kit as tests of one store, whatever else is in the folder.

Loaded by pytest wherever Holdfast is installed, so it imports nothing until it is asked to do something.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ("pytest_addoption", "pytest_configure")


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add the options."""
    group = parser.getgroup("holdfast", "conformance of stores")
    group.addoption(
        "--holdfast-store", metavar="TARGET", help="a URL, module:Class, or kind: see holdfast conform"
    )
    group.addoption(
        "--holdfast-level", action="append", metavar="LEVEL", help="a level to check, and no other"
    )
    group.addoption("--holdfast-seed", type=int, default=0, help="what all that is random is drawn from")
    group.addoption("--holdfast-pace", default="quick", choices=("quick", "normal", "thorough"))


def pytest_configure(config: "pytest.Config") -> None:
    """Collect the checks: beside the files that are named, in place of the project's own tests if none is."""
    if not config.getoption("--holdfast-store"):
        return
    ours = str(Path(__file__).parent / "conformance" / "given_store.py")
    named = config.args if config.args_source is config.ArgsSource.ARGS else []
    config.args = [*named, ours]
