"""The models, on hand-written operations: which states a power cut may leave, and which it may not."""

from collections.abc import Sequence

import pytest

from holdfast.testing.explorer.enumerating import states
from holdfast.testing.explorer.models import ORDERED, STRICT, Model
from holdfast.testing.explorer.moments import State
from holdfast.testing.explorer.operations import (
    ROOT,
    Allocate,
    Entry,
    FailedFlush,
    Flush,
    FlushAll,
    FlushFolder,
    Mark,
    Name,
    Operation,
    Resize,
    Trace,
    Tree,
    Write,
)  # fmt: skip

A, B, FOLDER = 1, 2, 3
Operations = list[Operation]
BOTH = pytest.mark.parametrize("model", [STRICT, ORDERED], ids=lambda model: model.name)


def write(file: int, offset: int, data: bytes, *, grew: bool = True) -> Write:
    return Write("write", file, offset, data, grew)


def name(*entries: tuple[int, str, int | None]) -> Name:
    return Name("name", tuple(Entry(*entry) for entry in entries))


def fsync(file: int, since: int, *, data_only: bool = False) -> Flush:
    return Flush("fsync", file, since, data_only)


def left(
    operations: Sequence[Operation], model: Model, *, start: dict[str, bytes] | None = None, most: int = 4096
) -> set[str]:
    """Return what may be there after all operations: names and bytes, spelled in one line each."""
    entries = {(ROOT, each): 10 + index for index, each in enumerate(start or {})}
    nodes = {10 + index: data for index, data in enumerate((start or {}).values())}
    tree = Tree(entries, {ROOT: None, **nodes})
    trace = Trace(tree, (), tuple([*operations, Mark("end")]), frozenset({ROOT, FOLDER}))
    return {spelled(state) for state in states(trace, model=model, most=most) if state.marks}


def spelled(state: State) -> str:
    found = []
    for path, node in state.paths:
        if node in state.moment.folders:
            found.append(f"{path}/")
        else:
            data = state.moment.files[node].content(state.choice.fates.get(node, ()))
            found.append(f"{path}={data.replace(bytes(1), b'0').decode()}")
    return " ".join(found)


@BOTH
def test_a_write_may_be_lost_torn_or_zeros(model: Model) -> None:
    written = write(10, 2, b"CDEF")
    assert left([written], model, start={"a": b"ab"}) == {"a=ab", "a=abCDEF", "a=abCD", "a=ab0000"}


@BOTH
def test_an_overwrite_leaves_no_zeros(model: Model) -> None:
    assert left([write(10, 0, b"CD", grew=False)], model, start={"a": b"ab"}) == {"a=ab", "a=CD", "a=Cb"}


@BOTH
def test_a_long_write_may_lack_its_beginning(model: Model) -> None:
    long = write(10, 0, b"x" * 1024, grew=False)
    found = left([long], model, start={"a": b"." * 1024})
    assert found == {
        f"a={text}" for text in ("." * 1024, "x" * 1024, "x" * 512 + "." * 512, "." * 512 + "x" * 512)
    }  # fmt: skip


@BOTH
def test_writes_reach_the_disk_in_any_order(model: Model) -> None:
    found = left([write(10, 1, b"B"), write(10, 2, b"C")], model, start={"a": b"a"})
    assert found == {"a=a", "a=aB", "a=a0", "a=aBC", "a=a0C", "a=aB0", "a=a00"}


@BOTH
def test_a_flush_keeps_what_came_before_it_began(model: Model) -> None:
    operations: Operations = [write(10, 1, b"B"), write(10, 2, b"C"), fsync(10, 1)]
    assert left(operations, model, start={"a": b"a"}) == {"a=aB", "a=aBC", "a=aB0"}
    assert left([*operations, fsync(10, 2, data_only=True)], model, start={"a": b"a"}) == {"a=aBC"}


@BOTH
def test_a_flush_is_of_one_file_only(model: Model) -> None:
    found = left([write(10, 1, b"B"), fsync(11, 1)], model, start={"a": b"a", "b": b"b"})
    assert "a=a b=b" in found


@BOTH
def test_a_write_with_o_dsync_takes_no_other_along(model: Model) -> None:
    alone = Flush("O_DSYNC", 10, 2, True, 1)
    assert left([write(10, 1, b"B"), write(10, 2, b"C"), alone], model, start={"a": b"a"}) == {
        "a=aBC",
        "a=a0C",
    }


@BOTH
def test_what_a_failed_flush_was_to_cover_is_not_flushed_by_the_next_one(model: Model) -> None:
    failed, again = FailedFlush("fsync", 10, 1), fsync(10, 2)
    lost: Operations = [write(10, 1, b"B"), failed, again]
    assert left(lost, model, start={"a": b"a"}) == {"a=aB", "a=a", "a=a0"}
    assert left([*lost, write(10, 1, b"C", grew=False), fsync(10, 4)], model, start={"a": b"a"}) == {"a=aC"}


@BOTH
def test_a_failed_flush_says_nothing_of_other_files_and_of_later_writes(model: Model) -> None:
    other: Operations = [write(10, 1, b"B"), FailedFlush("fsync", 11, 1), fsync(10, 2)]
    assert left(other, model, start={"a": b"a", "b": b"b"}) == {"a=aB b=b"}
    later: Operations = [FailedFlush("fsync", 10, 0), write(10, 1, b"B"), fsync(10, 2)]
    assert left(later, model, start={"a": b"a"}) == {"a=aB"}
    every: Operations = [write(10, 1, b"B"), FailedFlush("syncfs", None, 1), FlushAll("sync", 2)]
    assert "a=a" in left(every, model, start={"a": b"a"})


@BOTH
def test_names_and_sizes_are_in_a_journal_that_a_failed_flush_leaves_as_it_is(model: Model) -> None:
    made: Operations = [name((ROOT, "b", B)), FailedFlush("fsync", ROOT, 1), FlushFolder("fsync", ROOT, 2)]
    assert left(made, model) == {"b="}
    cut: Operations = [Resize("truncate", 10, 1), FailedFlush("fsync", 10, 1), fsync(10, 2)]
    assert left(cut, model, start={"a": b"ab"}) == {"a=a"}


@BOTH
def test_sizes_may_be_lost(model: Model) -> None:
    cut, room = Resize("truncate", 10, 1), Allocate("allocate", 10, 4)
    assert left([cut], model, start={"a": b"ab"}) == {"a=ab", "a=a"}
    assert left([room], model, start={"a": b"ab"}) == {"a=ab", "a=ab00"}
    assert left([cut, room], model, start={"a": b"ab"}) == {"a=ab", "a=a", "a=ab00", "a=a000"}
    punched = Allocate("punch", 10, 2, (0, 1))
    assert left([punched, FlushAll("sync", 1)], model, start={"a": b"ab"}) == {"a=0b"}


@BOTH
def test_flushing_all_keeps_all(model: Model) -> None:
    operations: Operations = [
        name((ROOT, "a", A)),
        write(A, 0, b"A"),
        name((ROOT, "d", FOLDER)),
        FlushAll("syncfs", 3),
    ]
    assert left(operations, model) == {"a=A d/"}


@BOTH
def test_a_flushed_file_may_lack_its_name(model: Model) -> None:
    """Unless the file system keeps names in order: then the flush of a new file takes its name along."""
    found = left([name((ROOT, "a", A)), write(A, 0, b"A"), fsync(A, 2)], model)
    assert found == ({"", "a=A"} if model is STRICT else {"a=A"})


def test_only_a_folder_s_own_flush_keeps_its_names() -> None:
    made: Operations = [name((ROOT, "d", FOLDER)), name((FOLDER, "a", A))]
    assert left([*made, FlushFolder("fsync", FOLDER, 2)], STRICT) == {"", "d/ d/a="}
    assert left([*made, FlushFolder("fsync", ROOT, 2)], STRICT) == {"d/", "d/ d/a="}
    both: Operations = [*made, FlushFolder("fsync", FOLDER, 2), FlushFolder("fsync", ROOT, 3)]
    assert left(both, STRICT) == {"d/ d/a="}


def test_names_in_order_take_along_those_before() -> None:
    made: Operations = [name((ROOT, "d", FOLDER)), name((FOLDER, "a", A)), name((ROOT, "b", B))]
    assert left(made, ORDERED) == {"", "d/", "d/ d/a=", "b= d/ d/a="}
    assert left([*made, FlushFolder("fsync", FOLDER, 3)], ORDERED) == {"d/ d/a=", "b= d/ d/a="}
    assert left(made, STRICT) == {"", "d/", "b=", "d/ d/a=", "b= d/", "b= d/ d/a="}


def test_a_folder_s_flush_takes_nothing_along_where_nothing_in_it_changed() -> None:
    made: Operations = [name((ROOT, "d", FOLDER)), FlushAll("sync", 1), name((ROOT, "b", B))]
    assert left([*made, FlushFolder("fsync", FOLDER, 3)], ORDERED) == {"d/", "b= d/"}


def test_data_only_takes_names_along_only_where_the_size_changed() -> None:
    other = name((ROOT, "b", B))
    grown, over = write(10, 1, b"B"), write(10, 0, b"A", grew=False)
    datasync = fsync(10, 2, data_only=True)
    assert left([other, grown, datasync], ORDERED, start={"a": b"a"}) == {"a=aB b="}
    assert left([other, over, datasync], ORDERED, start={"a": b"a"}) == {"a=A", "a=A b="}
    assert left([other, over, fsync(10, 2)], ORDERED, start={"a": b"a"}) == {"a=A b="}
    assert left([over, other, fsync(10, 2)], ORDERED, start={"a": b"a"}) == {"a=A", "a=A b="}


RENAME = name((ROOT, "tmp", None), (ROOT, "a", B))


@BOTH
def test_a_rename_in_a_folder_is_one_step(model: Model) -> None:
    made: Operations = [name((ROOT, "tmp", B)), write(B, 0, b"B"), FlushAll("sync", 2), RENAME]
    assert left(made, model, start={"a": b"A"}) == {"a=A tmp=B", "a=B"}
    assert left([*made, FlushFolder("fsync", ROOT, 4)], model, start={"a": b"A"}) == {"a=B"}


def test_a_rename_between_folders_never_loses_the_file() -> None:
    made: Operations = [
        name((ROOT, "d", FOLDER)), name((ROOT, "a", A)), FlushAll("sync", 2), name((ROOT, "a", None), (FOLDER, "a", A)),
    ]  # fmt: skip
    assert left(made, STRICT) == {"a= d/", "a= d/ d/a=", "d/ d/a="}
    assert left([*made, FlushFolder("fsync", ROOT, 4)], STRICT) == {"d/ d/a="}
    assert left([*made, FlushFolder("fsync", FOLDER, 4)], STRICT) == {"a= d/ d/a=", "d/ d/a="}
    assert left(made, ORDERED) == {"a= d/", "d/ d/a="}


@BOTH
def test_an_unlink_may_be_lost(model: Model) -> None:
    gone = name((ROOT, "a", None))
    assert left([gone], model, start={"a": b"A"}) == {"", "a=A"}
    assert left([gone, FlushFolder("fsync", ROOT, 1)], model, start={"a": b"A"}) == {""}


@BOTH
def test_two_names_of_one_file(model: Model) -> None:
    linked: Operations = [
        name((ROOT, "b", 10)),
        write(10, 1, b"B"),
        FlushAll("sync", 2),
        name((ROOT, "a", None)),
    ]
    assert left(linked, model, start={"a": b"a"}) == {"a=aB b=aB", "b=aB"}


def test_every_ordered_state_is_a_strict_one() -> None:
    made: Operations = [
        name((ROOT, "tmp", B)),
        write(B, 0, b"BB"),
        fsync(B, 2),
        RENAME,
        name((ROOT, "d", FOLDER)),
        write(10, 0, b"x"),
    ]
    ordered, strict = (left(made, model, start={"a": b"A"}) for model in (ORDERED, STRICT))
    assert ordered < strict


@BOTH
def test_a_sample_is_of_the_same_states_and_follows_from_its_seed(model: Model) -> None:
    made: Operations = [name((ROOT, "a", A)), *(write(A, at, b"AB") for at in range(0, 10, 2))]
    every = left(made, model)
    some = left(made, model, most=40)
    assert some < every
    assert {"", "a=", "a=ABABABABAB"} <= some
    assert some == left(made, model, most=40)
