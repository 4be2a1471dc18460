"""Reading strace's log: hand-written lines, as strace 6 writes them."""

import pytest

from holdfast.testing.explorer.processes import Descriptor, Processes
from holdfast.testing.explorer.strace import Call, Log, TraceAgain, Untraceable, unhex


def read(*lines: str) -> list[Call]:
    return list(Log().calls(lines))


def test_a_line_is_a_call() -> None:
    (call,) = read(
        r'7  openat(AT_FDCWD<\x2f\x74>, "\x61\x2c\x28", O_RDWR|O_CREAT, 0600) = 3<\x2f\x74\x2f\x61>'
    )
    assert (call.thread, call.name, call.failed) == (7, "openat", False)
    assert call.args == (r"AT_FDCWD<\x2f\x74>", r'"\x61\x2c\x28"', "O_RDWR|O_CREAT", "0600")
    assert call.result == r"3<\x2f\x74\x2f\x61>"
    assert unhex(call.args[1]) == b"a,("


def test_arguments_are_split_outside_brackets_only() -> None:
    (call,) = read(r'7  writev(3, [{iov_base="\x61", iov_len=1}, {iov_base="\x62", iov_len=1}], 2) = 2')
    assert call.args[1] == r'[{iov_base="\x61", iov_len=1}, {iov_base="\x62", iov_len=1}]'
    assert len(call.args) == 3


def test_an_error_is_a_failed_call() -> None:
    (call,) = read(r'7  mkdir("\x61", 0700) = -1 EEXIST (File exists)')
    assert call.failed


def test_calls_are_in_the_order_in_which_they_return() -> None:
    first, second = read(
        "7  fsync(3</t>) = 0".replace("/t", r"\x2f\x74"),
        "7  fsync(4 <unfinished ...>",
    ) + read("7  fsync(4 <unfinished ...>", "7  <... fsync resumed>) = 0")
    assert (first.args, second.args) == ((r"3<\x2f\x74>",), ("4",))
    both = read(
        "7  clone3({flags=CLONE_VM|CLONE_FILES}, 88) = 8",
        "7  fsync(3 <unfinished ...>",
        r'8  write(4, "\x61", 1) = 1',
        "7  <... fsync resumed>) = 0",
    )
    assert [call.name for call in both] == ["clone3", "write", "fsync"]
    assert [call.began for call in both] == [0, 1, 1]  # the flush began before the write returned


def test_a_child_may_be_heard_of_before_its_fork_returns() -> None:
    calls = read(
        "7  vfork( <unfinished ...>",
        r'8  execve("\x61", ["\x61"], 0x7f /* 3 vars */ <unfinished ...>',
        "7  <... vfork resumed>) = 8",
        "8  <... execve resumed>) = 0",
    )
    assert [(call.thread, call.name, call.result) for call in calls] == [
        (7, "vfork", "8"),
        (8, "execve", "0"),
    ]


def test_whose_child_it_is_must_be_known() -> None:
    with pytest.raises(TraceAgain):
        read("7  fsync(3) = 0", "8  fsync(3) = 0")


def test_a_call_that_a_kill_cut_off_is_left_out_and_known() -> None:
    log = Log()
    assert list(log.calls(["7  fsync(3 <unfinished ...>", "7  +++ killed by SIGKILL +++"])) == []
    assert log.cut_off == ["fsync(3"]
    for line in ("7  fsync(3", "7  fsync(3) = ?", "7  fsync(3 <unfinished ...>) = ?"):
        log = Log()
        assert list(log.calls([line])) == []
        assert len(log.cut_off) == 1
    assert list(Log().calls(["7  exit_group(0) = ?", "7  +++ exited with 0 +++"])) == []


@pytest.mark.parametrize(
    "lines",
    [
        (r'7  write(3, "\x61\x62", 2)     = ?',),
        (r'7  write(3, "\x61\x62", 2)     = ? <unavailable>',),
        (r'7  write(3, "\x61\x62", 2 <unfinished ...>) = ?',),
        (r'7  write(3, "\x61\x62", 2 <unfinished ...>', "7  +++ killed by SIGKILL +++"),
        (r'7  write(3, "\x61\x62", 2 <unfinished ...>', "7  <... write resumed>) = ?"),
    ],
)
def test_a_call_that_a_kill_cut_off_can_be_taken_as_done(lines: tuple[str, ...]) -> None:
    (call,) = Log(done=(0,)).calls(lines)
    assert (call.args, call.result, call.failed) == (("3", r'"\x61\x62"', "2"), "2", False)
    assert list(Log(done=(1,)).calls(lines)) == []


@pytest.mark.parametrize("line", ["what is this", "7  fsync = 0"])
def test_what_cannot_be_read_raises(line: str) -> None:
    with pytest.raises(Untraceable):
        read(line)


def test_a_string_that_was_cut_short_raises() -> None:
    with pytest.raises(Untraceable, match="short"):
        unhex(r'"\x61"...')


def test_descriptors_through_dup_fork_and_exec() -> None:
    processes = Processes("/")
    parent = processes.of(7)
    file = Descriptor(1)
    parent.set(3, file, closing=True, at=1)
    parent.set(4, file, closing=False, at=2)
    processes.see(Call(7, "clone3", ("{flags=CLONE_VM|CLONE_FILES}",), "8", 0))
    processes.see(Call(7, "fork", (), "9", 0))
    assert processes.of(8) is parent
    child = processes.of(9)
    assert child.open == {3: file, 4: file}
    processes.see(Call(9, "execve", (), "0", 0))
    assert processes.of(9).open == {4: file}
    child.close(0, 1 << 31, 3)
    assert parent.open == {3: file, 4: file}
