"""What a person must mend is exit code 2, whichever backend says it, and in a sentence of ours."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from holdfast import cli
from holdfast.cli import codes
from holdfast.cli.app import run
from holdfast.cli.output import Output
from holdfast.errors import Unavailable
from holdfast.store import Key, Put, open_store
from holdfast.store.backends.redis.errors import explain
from tests.cli.builders import Here


def unavailable(cause: BaseException, **facts: object) -> Unavailable:
    error = Unavailable("it is away", unknown=False, **facts)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("number", "text", "code"),
    [
        (socket.EAI_NONAME, "Name or service not known", codes.COULD_NOT_RUN),
        (socket.EAI_AGAIN, "Temporary failure in name resolution", codes.FOUND),
    ],
)
def test_a_host_that_nobody_knows(number: int, text: str, code: int) -> None:
    assert codes.of(unavailable(socket.gaierror(number, text), retryable=True)) == code
    assert codes.of(unavailable(RuntimeError(f"host:27017: [Errno {number}] {text}"))) == code
    assert codes.of(unavailable(ConnectionRefusedError("refused"), retryable=True)) == codes.FOUND


def test_a_password_where_none_is_wanted() -> None:
    said = "AUTH <password> called without any password configured for the default user. Are you sure?"
    error = explain(RuntimeError(said), "redis://host/0", unknown=False)
    assert codes.of(error) == codes.COULD_NOT_RUN
    assert "take it out of the URL" in str(error)
    assert "AUTH" not in str(error)


def test_a_path_that_cannot_be_made(here: Here, folder: Path) -> None:
    async def fill() -> None:
        async with open_store("sqlite:x.db") as store:
            await store.commit([Put(Key("state.mine", "X"), 1)])

    asyncio.run(fill())
    (folder / "plain").write_text("")
    for place in ("/proc/x", "plain", "plain/below"):
        done = here("store", "copy", "sqlite:x.db", f"file:{place}")
        assert done.code == 2
        assert done.err.count("No such file") + done.err.count("Not a directory") == 1


def test_an_interrupt_while_it_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.cli.app.run", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["store", "ls"])
    assert ended.value.code == codes.INTERRUPTED == cli.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_word_that_is_no_utf8_is_told_of_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).record("error", {"message": "file\udcff./x has no scheme"})
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"type": "error", "message": "file\udcff./x has no scheme"}


def test_a_path_that_is_too_long_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", "ls", f"file:{'x/' * 3000}"]) == codes.COULD_NOT_RUN
    assert capsys.readouterr().err.rstrip().endswith("File name too long")
