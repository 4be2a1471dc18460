"""The shape of the project, held by reading its source: what may import what, touch the world, be named.

Every rule is a function from modules to complaints. The tests apply it to the project, which must give
none, and to a small bad module (the control), which must give one.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

import holdfast

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"

# What a room may import of Holdfast besides itself. BASE is for everyone above the store.
BASE = {"documents", "errors", "points", "system", "trading"}
ENGINE = BASE | {"store", "persist", "market", "broker", "runtime"}
MAY_IMPORT = {
    "errors": set[str](),
    "points": set[str](),
    "system": {"errors"},
    "documents": set[str](),
    "trading": {"documents", "errors"},
    "store": {"documents", "errors", "points", "system"},
    "persist": BASE | {"store"},
    "market": BASE | {"store"},
    "broker": BASE | {"store"},
    "runtime": ENGINE,
    "report": ENGINE,
    "web": ENGINE | {"report", "holdfast"},
    "cli": ENGINE | {"report", "web", "testing", "holdfast"},
    "testing": ENGINE | {"report", "web", "cli", "holdfast"},
}
# The one import against the current: `store.persist` is a name of the contract, and made by the entity view.
LOOKS_UP = {("holdfast.store.base", "holdfast.persist.view.persist_of")}
# The lifecycle is pure: besides msgspec, trading imports only what cannot reach outside the process.
PURE = {"msgspec", "base64", "bisect", "collections", "dataclasses", "decimal", "enum", "fractions"} | {
    "functools", "hashlib", "heapq", "itertools", "json", "math", "numbers", "operator", "re", "types", "typing",
}  # fmt: skip

# The world outside: modules whose use makes a result depend on more than its arguments, and calls likewise.
WORLD = {
    "fcntl",
    "mmap",
    "os",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "time",
    "uuid",
}
HARMLESS = {"os.PathLike", "os.fspath"}
WORLD_CALLS = {
    "open",
    "io.open",
    "asyncio.sleep",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
}
# Methods that read or change files, unless they are those of a Disk.
PATH_CALLS = {"read_text", "write_text", "read_bytes", "write_bytes", "unlink", "mkdir", "rmdir"}
# Who may touch it, and why. A name stands for the module and, if it is a package, all that is in it.
WORLDLY = {
    "holdfast.cli": "a command line is the world outside",
    "holdfast.market.csv": "reads candle files",
    "holdfast.store.credentials": "reads secrets from where a URL points",
    "holdfast.store.backends.file.disk": "every system call of the file store, in one replaceable object",
    "holdfast.store.backends.sqlite.disk": "what SQLite does not do itself, in one replaceable object",
    "holdfast.system": "the clock and the ids, as replaceable objects",
    "holdfast.testing": "kills, spawns and serves; no part of a run",
}

LONGEST = 400


class Module(NamedTuple):
    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        return room(self.name)


def room(name: str) -> str:
    """Return the first folder or file below holdfast, or holdfast itself."""
    parts = name.split(".")
    known = parts[0] == "holdfast" and len(parts) > 1 and parts[1] in MAY_IMPORT
    return parts[1] if known else parts[0]


def project() -> list[Module]:
    """Return every module of the package, a package's own `__init__` under the package's name."""
    paths = sorted((SRC / "holdfast").rglob("*.py"))
    return [Module(dotted(path), path.read_text()) for path in paths]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def package(module: Module) -> str:
    """Return the package that a module is in, or is."""
    is_package = (SRC / module.name.replace(".", "/")).is_dir()
    return module.name if is_package else module.name.rpartition(".")[0]


def bad(name: str, *lines: str) -> list[Module]:
    """Return a project of one module, for a control."""
    return [Module(name, "\n".join(lines) + "\n")]


# --- (a) import holdfast is light ---------------------------------------------------------------------

HEAVY = ("aiohttp", "asyncpg", "ccxt", "cyclopts", "msgspec", "numpy", "pymongo", "redis", "rich")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_import_is_light() -> None:
    assert loaded_by("import holdfast; dir(holdfast)") == set()


def test_import_is_light_control() -> None:
    assert loaded_by("import numpy") == {"numpy"}


@pytest.mark.parametrize("name", holdfast.__all__)
def test_public_name_is_there(name: str) -> None:
    home = holdfast._HOME_OF[name]
    assert getattr(holdfast, name) is getattr(sys.modules[home], name)
    assert name in dir(holdfast)


def test_public_names_have_a_home_and_others_do_not() -> None:
    assert set(holdfast._HOME_OF) == set(holdfast.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Bot'"):
        _ = holdfast.Bot


# --- (b) imports run one way --------------------------------------------------------------------------


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of each import, also those inside functions and for types only."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                base = resolve_name("." * level + (origin or ""), package(module)) if level else origin
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(name))]):
                yield node.lineno, name


def wrong_imports(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{line}: {module.room} may not import {name}"
        for module in modules
        if module.name != "holdfast"
        for line, name in imports(module)
        if not may_import(module.room, name) and (module.name, name) not in LOOKS_UP
    ]


def may_import(importer: str, name: str) -> bool:
    top = name.partition(".")[0]
    if top != "holdfast":
        return importer != "trading" or top in PURE
    return room(name) == importer or room(name) in MAY_IMPORT.get(importer, set())


def test_imports_run_one_way() -> None:
    assert wrong_imports(project()) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("holdfast.store.lease", "from holdfast.runtime.live import Live"),
        ("holdfast.store.lease", "def f() -> None:\n    import holdfast.trading.signal"),
        ("holdfast.store.lease", "from holdfast import Live"),
        ("holdfast.store.backends.other", "from ...persist import base"),
        ("holdfast.runtime.live", "from holdfast.testing import crash"),
        ("holdfast.runtime.live", "import_module('holdfast.cli.main')"),
        ("holdfast.trading.pnl", "import numpy as np"),
        ("holdfast.trading.pnl", "from holdfast.system import Clock"),
        ("holdfast.market.replay", "from holdfast import runtime"),
        ("holdfast.attic.old", "from holdfast.store import Key"),
    ],
)
def test_imports_run_one_way_control(name: str, line: str) -> None:
    assert len(wrong_imports(bad(name, line))) == 1


# --- (c) only named modules touch the world -----------------------------------------------------------


def worldly_uses(module: Module) -> Iterator[tuple[int, str]]:
    for line, name in imports(module):
        if name.split(".")[0] in WORLD and name not in HARMLESS:
            yield line, name
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            on_path = method in PATH_CALLS and not owner.endswith("disk")
            if on_path or called in WORLD_CALLS or called.removeprefix("datetime.") in WORLD_CALLS:
                yield node.lineno, f"{called}()"


def touching_the_world(modules: list[Module]) -> list[str]:
    return [
        f"{module.name}:{line}: {use} belongs behind system.py or disk.py"
        for module in modules
        if not any(is_in(module, name) for name in WORLDLY)
        for line, use in worldly_uses(module)
    ]


def is_in(module: Module, name: str) -> bool:
    return f"{module.name}.".startswith(f"{name}.")


def test_only_named_modules_touch_the_world() -> None:
    assert touching_the_world(project()) == []


@pytest.mark.parametrize("name", WORLDLY)
def test_a_named_module_needs_its_exemption(name: str) -> None:
    assert any(list(worldly_uses(module)) for module in project() if is_in(module, name))


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from os import replace",
        "def f() -> str:\n    import uuid\n    return 'x'",
        "text = open('candles.csv').read()",
        "text = Path('candles.csv').read_text()",
        "stamp = datetime.datetime.now()",
        "await asyncio.sleep(1)",
    ],
)
def test_only_named_modules_touch_the_world_control(line: str) -> None:
    assert len(touching_the_world(bad("holdfast.runtime.live", line))) == 1
    assert touching_the_world(bad("holdfast.testing.crash", line)) == []


def test_a_disk_that_is_passed_in_may_be_used() -> None:
    assert touching_the_world(bad("holdfast.store.backends.file.files", "self._disk.unlink(path)")) == []


# --- (d) modules are short and say what they are --------------------------------------------------------


def shapeless(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if (lines := module.source.count("\n")) > LONGEST:
            yield f"{module.name}: {lines} lines; one idea fits in {LONGEST}"
        if any(part.startswith("_") for part in module.name.split(".")):
            continue
        if not ast.get_docstring(module.tree):
            yield f"{module.name}: no docstring"
        # Every name in errors.py is an exception and public; a package may be no more than a docstring.
        listless = module.name == "holdfast.errors" or len(module.tree.body) == 1
        if not listless and "__all__" not in assigned(module.tree):
            yield f"{module.name}: no __all__"


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what a module assigns to plain names at its top level."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def test_modules_are_short_and_say_what_they_are() -> None:
    assert list(shapeless(project())) == []


def test_every_folder_is_a_package() -> None:
    assert [
        path for path in {path.parent for path in SRC.rglob("*.py")} if not (path / "__init__.py").is_file()
    ] == []


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (['"""A module."""', "__all__ = ()"] + ["x = 1"] * LONGEST, "402 lines"),
        (["__all__ = ()"], "no docstring"),
        (['"""A module."""', "x = 1"], "no __all__"),
    ],
)
def test_modules_are_short_and_say_what_they_are_control(lines: list[str], complaint: str) -> None:
    (said,) = shapeless(bad("holdfast.store.lease", *lines))
    assert complaint in said
    assert "lines" in complaint or not list(shapeless(bad("holdfast.store._lease", *lines)))


# --- (e) crash points are listed, and listed ones are there -------------------------------------------


def reached(module: Module) -> Iterator[str]:
    """Yield the points that a module passes; one that is computed cannot be listed, and is shown as code."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="points"), attr="reached"), args=[point]):
                literal = isinstance(point, ast.Constant) and isinstance(point.value, str)
                yield ast.literal_eval(point) if literal else ast.unparse(point)


def unlisted_points(modules: list[Module]) -> Iterator[str]:
    listed: dict[str, set[str]] = {}
    passed: dict[str, set[str]] = {}
    for module in modules:
        passed.setdefault(package(module), set()).update(reached(module))
        if (points := assigned(module.tree).get("POINTS")) is not None:
            listed.setdefault(package(module), set()).update(ast.literal_eval(points))
        if "holdfast.points.reached" in {name for _, name in imports(module)}:
            yield f"{module.name}: call points.reached(...), or the crash harness cannot replace it"
    for name in sorted({*listed, *passed}):
        for point in sorted(passed.get(name, set()) ^ listed.get(name, set())):
            yield f"{name}: {point} must be both in POINTS and passed"


def test_crash_points_are_listed() -> None:
    assert list(unlisted_points(project())) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["points.reached('journal.flushed')"],
        ["POINTS = ('a', 'b')", "points.reached('a')"],
        ["POINTS = ('a',)", "points.reached('a')", "points.reached(f'{b}')"],
        ["from holdfast.points import reached"],
    ],
)
def test_crash_points_are_listed_control(lines: list[str]) -> None:
    assert len(list(unlisted_points(bad("holdfast.store.lease", *lines)))) == 1
    assert not list(unlisted_points(bad("holdfast.store.lease", "POINTS = ('a',)", "points.reached('a')")))
