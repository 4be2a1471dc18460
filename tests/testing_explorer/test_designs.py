"""Designs whose faults are known: the explorer finds all of them and no others, and a wrong model is noticed."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from holdfast.testing.explorer import (
    ORDERED,
    STRICT,
    Exploration,
    Model,
    Trace,
    Untraceable,
    explore,
    forked,
    trace,
)
from holdfast.testing.explorer.models import DataEffect, Flushing, NameEffect, Strict
from holdfast.testing.explorer.operations import Flush, FlushFolder
from tests.testing_explorer import designs

# What breaks a promise under the letter of POSIX, and where names are kept in order.
FAULTS = {
    "in_place": (True, True),
    "no_flush": (True, True),
    "no_folder_flush": (True, True),
    "full_recipe": (False, False),
    "new_folder": (True, False),
    "log": (False, False),
    "synced_log": (False, False),
    "unflushed_log": (True, True),
    "sqlite_full": (False, False),
    "sqlite_normal": (True, True),
    "sqlite_journal": (True, True),
}


@cache
def traced(design: str) -> Trace:
    with TemporaryDirectory() as folder:
        return trace(designs.run, design, folder, "4", folder=Path(folder), ignore=("*-shm",))


def explored(design: str, model: Model, most: int = 24) -> Exploration:
    return explore(traced(design), designs.check, model=model, most=most)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("design", FAULTS)
def test_designs(design: str) -> None:
    strict, ordered = explored(design, STRICT), explored(design, ORDERED)
    assert (strict.failed > 0, ordered.failed > 0) == FAULTS[design], f"{strict}\n{ordered}"
    assert strict.states >= strict.points


@pytest.mark.needs("strace")
def test_the_shortest_history_shows_what_was_lost() -> None:
    found = explored("no_folder_flush", STRICT)
    assert found.shortest is not None
    told = str(found)
    assert told.count("<- ") == 1
    assert "rename a.tmp to a.json    <- lost" in told
    assert told.endswith("power cut\n        found: a is not there")
    assert "done a 0" in told
    assert "asked b 1" not in told


@pytest.mark.needs("strace")
def test_a_state_is_on_disk_as_it_is_told(tmp_path: Path) -> None:
    found = explored("in_place", STRICT).failures[-1]
    found.state.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path for path, _ in found.state.paths]
    assert tuple(designs.check(tmp_path, found.state.marks)) == found.problems


# --- models with one idea taken out ------------------------------------------------------------------


class FileFlushKeepsNames(Strict):
    """Takes a file's flush for one of its folder."""

    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        return [effect for effect in names if effect.index < flush.since]


class FolderFlushKeepsData(Strict):
    """Takes a folder's flush for one of the files in it."""

    def data(self, flush: Flushing, data: Sequence[DataEffect]) -> list[DataEffect]:
        return list(data) if isinstance(flush, FlushFolder) else super().data(flush, data)


class NothingIsLost(Strict):
    """Takes what was written for durable."""

    def lawful(self, names: Sequence[NameEffect], kept: frozenset[NameEffect]) -> frozenset[NameEffect]:
        return frozenset(names)


class FlushKeepsNoData(Strict):
    """Has flushes of files do nothing."""

    def data(self, flush: Flushing, data: Sequence[DataEffect]) -> list[DataEffect]:
        return [] if isinstance(flush, Flush) else super().data(flush, data)


class FlushKeepsNoNames(Strict):
    """Has flushes of folders do nothing."""

    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        return []


class AnyFlushKeepsAll(FolderFlushKeepsData):
    """Takes any flush for one of everything."""

    def names(
        self, flush: Flushing, names: Sequence[NameEffect], data: Sequence[DataEffect]
    ) -> list[NameEffect]:
        return list(names)


MUTANTS: dict[Callable[[], Model], str] = {
    FileFlushKeepsNames: "new_folder",
    FolderFlushKeepsData: "unflushed_log",
    NothingIsLost: "no_folder_flush",
    FlushKeepsNoData: "full_recipe",
    FlushKeepsNoNames: "full_recipe",
    AnyFlushKeepsAll: "new_folder",
}


@pytest.mark.needs("strace")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_model_is_noticed(mutant: Callable[[], Model]) -> None:
    wrong = [
        design
        for design in (
            "in_place",
            "no_flush",
            "no_folder_flush",
            "full_recipe",
            "new_folder",
            "unflushed_log",
        )
        if (explored(design, mutant()).failed > 0) != FAULTS[design][0]
    ]
    assert MUTANTS[mutant] in wrong


# --- programs that cannot be traced, checks that misbehave --------------------------------------------


def maps_memory(folder: str) -> None:
    import mmap

    with open(f"{folder}/a", "wb+") as file:
        file.truncate(4096)
        mmap.mmap(file.fileno(), 4096)[:2] = b"xy"


def fails(folder: str) -> None:
    raise RuntimeError(f"not in {folder}")


@pytest.mark.needs("strace")
def test_what_cannot_be_traced_raises(tmp_path: Path) -> None:
    with pytest.raises(Untraceable, match="memory"):
        trace(maps_memory, str(tmp_path), folder=tmp_path)
    with pytest.raises(Untraceable, match="RuntimeError: not in"):
        trace(fails, str(tmp_path), folder=tmp_path)
    with pytest.raises(Untraceable, match="end within"):
        trace(["sleep", "60"], folder=tmp_path, limit=0.5)
    with pytest.raises(Untraceable, match="cannot be imported"):
        trace(lambda: None, folder=tmp_path)


@pytest.mark.needs("strace")
def test_a_command_is_traced_too(tmp_path: Path) -> None:
    script = "echo asked >> $HOLDFAST_MARKS; echo hello > a; mv a b; sync b; echo done >> $HOLDFAST_MARKS"
    script = f"cd {tmp_path}; {script}"
    found = trace(["sh", "-c", script], folder=tmp_path, before=("earlier",))
    assert found.marks == ("earlier", "asked", "done")
    assert [operation.text for operation in found.operations] == [
        "asked", "create a", "write a 0+6", "rename a to b", "fsync b", "done"
    ]  # fmt: skip


def misbehave(folder: Path, marks: Sequence[str]) -> Sequence[str]:
    import os
    import time

    how = (folder / "how").read_text()
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(60)
    if how == "raise":
        raise ValueError("no")
    return [f"{marks[0]} is wrong"]


def test_a_forked_check(tmp_path: Path) -> None:
    check = forked(misbehave, limit=0.3)

    def told(how: str) -> str:
        (tmp_path / "how").write_text(how)
        return "; ".join(check(tmp_path, ["it"]))

    assert told("say") == "it is wrong"
    assert told("exit") == "its process ended with 3"
    assert told("hang") == "did not end within 0.3 s"
    assert told("raise").startswith("raised ValueError: no")
