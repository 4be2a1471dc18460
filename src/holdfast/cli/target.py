"""TARGET: a file, a module, or one of their attributes, and the desk that it means."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from holdfast.errors import HoldfastError, InvalidTarget
from holdfast.runtime.api import DESK
from holdfast.runtime.desk import Desk

__all__ = ("load",)

T = TypeVar("T")

MODULE: Final = "holdfast_target"
"""What a file is imported as: its own name may be that of a module that others need (`signal.py`)."""


def load(target: str) -> Desk:
    """Import what TARGET names and return its desk: the default one, or the attribute behind the colon.

    Raises InvalidTarget, which says what is wrong with it and what to do; what Holdfast itself refuses while the
    target is imported (a name taken twice, an interval that is none) is raised as it is.
    """
    place, colon, attribute = target.partition(":")
    module = _file(target, Path(place)) if _is_file(place) else _module(target, place)
    desk = _attribute(target, module, attribute) if colon else DESK
    if not desk.strategies:
        raise InvalidTarget(
            f"{target} registers no strategy on {'that' if colon else 'the default'} desk: decorate a function with "
            "@strategy(…), or name the desk, such as bot.py:desk",
            target=target,
        )
    return desk


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _file(target: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise InvalidTarget(
            f"there is no file {path}; write file.py, package.module or file.py:desk", target=target
        )
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise InvalidTarget(f"{path} is no Python file: its name is to end in .py", target=target)
    sys.path.insert(0, str(path.resolve().parent))
    module = sys.modules[MODULE] = importlib.util.module_from_spec(spec)
    loader = spec.loader
    _imported(target, lambda: loader.exec_module(module))
    return module


def _module(target: str, name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise InvalidTarget(
            f"there is no module {name!r} here; write a file as {name.replace('.', '/')}.py", target=target
        )
    return _imported(target, lambda: importlib.import_module(name))


def _imported(target: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except HoldfastError:
        raise
    except (Exception, SystemExit) as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        message = f"{target} cannot be imported: {reason} ({_where(error)})"
        raise InvalidTarget(message, target=target) from error


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}"


def _attribute(target: str, module: ModuleType, attribute: str) -> Desk:
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        desks = ", ".join(name for name, value in vars(module).items() if isinstance(value, Desk)) or "none"
        message = f"{target}: there is no {attribute!r} in it; its desks: {desks}"
        raise InvalidTarget(message, target=target) from error
    if not isinstance(found, Desk):
        raise InvalidTarget(f"{target} is no Desk but {type(found).__name__}", target=target)
    return found
