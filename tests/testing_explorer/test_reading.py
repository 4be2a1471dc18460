"""From calls to operations, hand-written: what each call does, and what is refused."""

from pathlib import Path

import pytest

from holdfast.testing.explorer.operations import (
    ROOT,
    Allocate,
    FailedFlush,
    Flush,
    FlushAll,
    FlushFolder,
    Mark,
    Name,
    Operation,
    Resize,
    Tree,
    Write,
)  # fmt: skip
from holdfast.testing.explorer.reading import Reader
from holdfast.testing.explorer.strace import Log, TraceAgain, Untraceable
from holdfast.testing.explorer.tracing import _read

START = Tree({(ROOT, "old"): 1, (ROOT, "in"): 2}, {ROOT: None, 1: b"before", 2: None})


def spell(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def hexed(line: str, thread: int = 7) -> str:
    """Spell strings and annotations as strace -xx does: `'a'` and `<a>`."""
    out, quoted = "", False
    for index, piece in enumerate(line.replace("<", "'\0").replace(">", "\1'").split("'")):
        quoted = index % 2 == 1
        if quoted and piece.startswith("\0"):
            out += f"<{spell(piece.strip(chr(0) + chr(1)))}>"
        else:
            out += f'"{spell(piece)}"' if quoted else piece
    return f"{thread}  {out}"


def reader(*lines: str) -> Reader:
    made = Reader(Path("/t"), START, marks=Path("/marks"), cwd="/t", ignore=("*-shm",))
    made.read(Log().calls(hexed(line) for line in lines))
    return made


def read(*lines: str) -> list[Operation]:
    return list(reader(*lines).trace((), "").operations)


def texts(*lines: str) -> list[str]:
    return [operation.text for operation in read(*lines)]


CREATED = "openat(AT_FDCWD</t>, 'new', O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3</t/new>"


def test_writing() -> None:
    operations = read(
        CREATED,
        "write(3</t/new>, 'abc', 3) = 3",
        "write(3</t/new>, 'def', 3) = 2",
        "pwrite64(3</t/new>, 'X', 1, 1) = 1",
        "writev(3</t/new>, [{iov_base='g', iov_len=1}, {iov_base='h', iov_len=1}], 2) = 2",
        "lseek(3</t/new>, 0, SEEK_SET) = 0",
        "write(3</t/new>, 'A', 1) = 1",
    )
    assert isinstance(operations[0], Name)
    found = [(w.offset, w.data, w.grew) for w in operations if isinstance(w, Write)]
    assert found == [
        (0, b"abc", True), (3, b"de", True), (1, b"X", False), (5, b"gh", True), (0, b"A", False)
    ]  # fmt: skip


def test_appending_and_flushing_by_flag() -> None:
    opened = "openat(AT_FDCWD</t>, '/t/old', O_WRONLY|O_APPEND|{}) = 3</t/old>"
    write, flush = read(opened.format("O_DSYNC"), "write(3</t/old>, 'xy', 2) = 2")
    assert isinstance(write, Write)
    assert write.offset == 6
    assert flush == Flush(flush.text, 1, 1, True, 0)
    assert read(opened.format("O_SYNC"), "write(3</t/old>, 'xy', 2) = 2")[1] == Flush(
        "  (written with O_SYNC)", 1, 1, False, 0
    )


def test_copies_of_a_descriptor_share_its_offset() -> None:
    operations = read(
        CREATED, "dup(3</t/new>) = 4</t/new>", "write(4</t/new>, 'ab', 2) = 2", "close(3</t/new>) = 0",
        "fcntl(4</t/new>, F_DUPFD_CLOEXEC, 10) = 10</t/new>", "write(10</t/new>, 'c', 1) = 1",
    )  # fmt: skip
    assert [w.offset for w in operations if isinstance(w, Write)] == [0, 2]


def test_a_closed_descriptor_is_another_file_when_it_comes_again() -> None:
    operations = read(
        CREATED, "close(3</t/new>) = 0", "openat(AT_FDCWD</t>, '/etc/passwd', O_RDONLY) = 3</etc/passwd>",
        "write(3</etc/passwd>, 'c', 1) = 1", "fsync(3</etc/passwd>) = 0",
    )  # fmt: skip
    assert len(operations) == 1


def test_names() -> None:
    told = texts(
        CREATED, "mkdir('made', 0700) = 0", "rename('new', '/t/made/new') = 0", "link('old', 'in/old') = 0",
        "unlinkat(AT_FDCWD</t>, 'old', 0) = 0",
        "renameat2(5</t/in>, 'old', AT_FDCWD</t>, 'back', RENAME_NOREPLACE) = 0",
        "rmdir('in') = 0", "mkdir('/elsewhere', 0700) = 0", "mkdir('made', 0700) = -1 EEXIST (File exists)",
    )  # fmt: skip
    assert told == [
        "create new", "mkdir made", "rename new to made/new", "link old to in/old", "unlinkat old",
        "rename in/old to back", "rmdir in",
    ]  # fmt: skip


def test_names_follow_the_working_directory() -> None:
    assert texts("chdir('in') = 0", "mkdir('a', 0700) = 0", "mkdir('../b', 0700) = 0") == [
        "mkdir in/a",
        "mkdir b",
    ]


def test_sizes() -> None:
    operations = read(
        "openat(AT_FDCWD</t>, 'old', O_RDWR) = 3</t/old>", "ftruncate(3</t/old>, 2) = 0", "truncate('old', 9) = 0",
        "fallocate(3</t/old>, 0, 0, 20) = 0", "fallocate(3</t/old>, FALLOC_FL_KEEP_SIZE, 0, 90) = 0",
        "fallocate(3</t/old>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 1, 90) = 0",
        "openat(AT_FDCWD</t>, 'old', O_WRONLY|O_TRUNC) = 4</t/old>",
    )  # fmt: skip
    assert [o.size for o in operations if isinstance(o, Resize)] == [2, 9, 0]
    found = [(o.size, o.zeroed) for o in operations if isinstance(o, Allocate)]
    assert found == [(20, (0, 0)), (20, (0, 0)), (20, (1, 20))]


def test_flushes_and_what_they_cover() -> None:
    operations = read(
        "clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 8", CREATED, "openat(AT_FDCWD</t>, '.', O_RDONLY) = 5</t>",
        "fsync(3</t/new>) = 0", "fdatasync(3</t/new>) = 0", "fsync(5</t>) = 0", "syncfs(5</t>) = 0", "sync() = 0",
    )  # fmt: skip
    assert [type(o) for o in operations[1:]] == [Flush, Flush, FlushFolder, FlushAll, FlushAll]
    assert [o.data_only for o in operations if isinstance(o, Flush)] == [False, True]
    late = Reader(Path("/t"), START, marks=Path("/marks"), cwd="/t")
    lines = [hexed(CREATED), "7  clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 8"]
    lines += ["7  fsync(3 <unfinished ...>", r'8  write(3, "\x61", 1) = 1', "7  <... fsync resumed>) = 0"]
    late.read(Log().calls(lines))
    flush = late.trace((), "").operations[-1]
    assert isinstance(flush, Flush)
    assert flush.since == 1  # not the write, which returned while the flush ran


def test_marks_are_lines_in_another_file() -> None:
    opened = "openat(AT_FDCWD</t>, '/marks', O_WRONLY|O_APPEND) = 9</marks>"
    assert read(opened, "write(9</marks>, 'done 1\n', 7) = 7") == [Mark("done 1")]


def test_what_is_ignored() -> None:
    lines = [
        "openat(AT_FDCWD</t>, 'db-shm', O_RDWR|O_CREAT, 0644) = 3</t/db-shm>", "ftruncate(3</t/db-shm>, 4) = 0",
        "mmap(NULL, 4, PROT_READ|PROT_WRITE, MAP_SHARED, 3</t/db-shm>, 0) = 0x7f", "unlink('db-shm') = 0",
        "ioctl(3</t/db-shm>, TCGETS, 0x7ffd) = -1 ENOTTY (Inappropriate ioctl for device)",
        "mmap(NULL, 4, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f",
        "symlink('a', '/elsewhere') = 0",
    ]  # fmt: skip
    assert read(*lines) == []


@pytest.mark.parametrize(
    "line",
    [
        "mmap(NULL, 4, PROT_READ|PROT_WRITE, MAP_SHARED, 3</t/new>, 0) = 0x7f",
        "io_uring_setup(8, {flags=0}) = 5",
        "copy_file_range(4</e>, NULL, 3</t/new>, NULL, 9, 0) = 9",
        "sendfile(3</t/new>, 4</e>, NULL, 9) = 9",
        "symlink('a', '/t/link') = 0",
        "mknodat(AT_FDCWD</t>, 'pipe', S_IFIFO|0600) = 0",
        "fsetxattr(3</t/new>, 'user.a', 'b', 1, 0) = 0",
        "ioctl(3</t/new>, FICLONE, 4</e>) = 0",
        "fallocate(3</t/new>, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) = 0",
        "renameat2(AT_FDCWD</t>, 'new', AT_FDCWD</t>, 'old', RENAME_EXCHANGE) = 0",
        "rename('new', '/elsewhere') = 0",
        "link('/elsewhere', 'here') = 0",
        "openat(AT_FDCWD</t>, '.', O_RDWR|O_TMPFILE, 0600) = 4</t/#1>",
        "openat(AT_FDCWD</t>, 'unheard-of', O_RDONLY) = 4</t/unheard-of>",
        "write(3</t/new>, 'x', 1) = -1 EIO (Input/output error)",
        "pwritev2(3</t/new>, [{iov_base='g', iov_len=1}], 1, 0, RWF_NOWAIT) = 1",
    ],
)
def test_what_the_model_does_not_know_raises(line: str) -> None:
    with pytest.raises(Untraceable):
        read(CREATED, line)


def test_a_flush_that_failed() -> None:
    failed = "fsync(3</t/new>) = -1 EIO (Input/output error) (INJECTED)"
    *_, found, again = read(CREATED, failed, "fsync(3</t/new>) = 0")
    assert found == FailedFlush("fsync new failed with EIO", 3, 1)
    assert isinstance(again, Flush)
    assert again.nth == 2
    assert len(read(CREATED, "fsync(3</t/new>) = -1 EINTR (Interrupted system call)")) == 1
    assert read("fsync(9</other>) = -1 EIO (Input/output error)") == []


def test_what_the_calls_do_not_explain_raises(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    start = Tree({}, {ROOT: None})
    made = Reader(tmp_path, start, marks=Path("/marks"), cwd="/")
    with pytest.raises(Untraceable, match="does not explain what is in a"):
        made.check()
    made.read(Log().calls([hexed(f"openat(AT_FDCWD</>, '{tmp_path}/a', O_WRONLY|O_CREAT, 0600) = 3</a>")]))
    with pytest.raises(Untraceable):
        made.check()
    made.read(Log().calls([hexed("write(3</a>, 'x', 1) = 1")]))
    made.check()


@pytest.mark.parametrize(
    "line",
    [
        "fdatasync(nobody) = 0",
        "openat(AT_FDCWD</t>) = 3",
        "<... write resumed>) = 3",
        "fsync(3</t) = -1",
    ],
)
def test_what_strace_never_writes_is_untraceable(line: str) -> None:
    made = Reader(Path("/t"), START, marks=Path("/marks"), cwd="/t")
    with pytest.raises(Untraceable):
        made.read(Log().calls([f"7  {line}"]))


def test_a_descriptor_is_free_before_its_close_returns() -> None:
    lines = [
        "7  clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 8",
        hexed(CREATED),
        "7  close(3 <unfinished ...>",
        hexed("openat(AT_FDCWD</t>, 'other', O_RDWR|O_CREAT, 0600) = 3</t/other>", thread=8),
        "7  <... close resumed>) = 0",
        hexed("write(3</t/other>, 'ab', 2) = 2", thread=8),
    ]
    made = Reader(Path("/t"), START, marks=Path("/marks"), cwd="/t")
    made.read(Log().calls(lines))
    written = made.trace((), "").operations[-1]
    assert isinstance(written, Write)
    assert written.text == "write other 0+2"


UNFINISHED = " <unfinished ...>"


def killed(folder: Path, log: Path) -> Reader:
    log.write_text(
        "\n".join(
            [
                hexed(f"openat(AT_FDCWD</>, '{folder}/new', O_RDWR|O_CREAT, 0600) = 3<{folder}/new>"),
                "7  clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 8",
                hexed(f"write(3<{folder}/new>, 'ab', 2") + UNFINISHED,
                hexed(f"mkdir('{folder}/sub', 0700", thread=8) + UNFINISHED,
                "7  +++ killed by SIGKILL +++",
                "8  <... mkdir resumed>) = ?",
                "8  +++ killed by SIGKILL +++",
            ]
        )
    )
    start = Tree({}, {ROOT: None})
    return _read(lambda: Reader(folder, start, marks=Path("/marks"), cwd="/"), log)


@pytest.mark.parametrize(
    ("data", "made", "done"),
    [(b"", False, []), (b"ab", False, [Write]), (b"", True, [Name]), (b"ab", True, [Write, Name])],
)
def test_what_is_there_tells_which_calls_were_done_that_a_kill_cut_off(
    data: bytes, made: bool, done: list[type], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "new").write_bytes(data)
    if made:
        (folder / "sub").mkdir()
    _, *others = killed(folder, tmp_path / "log").trace((), "").operations
    assert [type(each) for each in others] == done


def test_a_write_that_a_kill_cut_in_two_asks_for_another_trace(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "new").write_bytes(b"a")
    with pytest.raises(TraceAgain, match="in part"):
        killed(folder, tmp_path / "log")
