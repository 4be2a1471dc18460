"""README, CONTRIBUTING and docs/ name only targets, files, links and commands that are there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = "src|tests|docs|requirements|benchmarks|examples"


def code_in(text: str) -> str:
    """Return the code blocks (fenced or indented) and code spans of a Markdown page, one a line."""
    return "\n".join(re.findall(r"^```.*?^```|^ {4}\S.*$|`[^`\n]+`", text, re.MULTILINE | re.DOTALL))


def missing_from(text: str, folder: Path = ROOT) -> Iterator[str]:
    """Yield the make targets, files and links that a page names and that are not there."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = code_in(text)
    yield from (f"make {t}" for t in re.findall(r"\bmake ([a-z]+)", code) if t not in targets)
    named = re.findall(rf"`((?:{FOLDERS}|\.ci)/[\w./-]*|[\w-]+\.(?:md|toml|cfg))`", text)
    yield from (path for path in named if not (ROOT / path).exists())
    links = re.findall(r"\]\(([^)#\s]+)", text)
    yield from (link for link in links if "://" not in link and not (folder / link).exists())


def commands_in(text: str) -> set[tuple[str, ...]]:
    """Return the words that follow `holdfast` at the start of a command, up to the first that is no name."""
    found = re.findall(r"(?:^|[`$]) *holdfast((?: [a-z][a-z-]+(?![\w./:=]))+)", code_in(text), re.MULTILINE)
    return {tuple(words.split()) for words in found}


def help_of(*command: str) -> str:
    code = "from holdfast.cli import main; main()"
    argv = [sys.executable, "-c", code, *command, "--help"]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_what_is_there(page: Path) -> None:
    assert list(missing_from(page.read_text(), page.parent)) == []


def test_pages_name_only_what_is_there_control() -> None:
    text = "Run `make coffee`, read `docs/nowhere.md` and [that](docs/never.md).\n\n    make tea\n"
    assert list(missing_from(text)) == ["make coffee", "make tea", "docs/nowhere.md", "docs/never.md"]


def test_pages_name_only_commands_that_exist() -> None:
    if find_spec("holdfast.cli") is None:
        pytest.skip("holdfast.cli is not there yet")
    commands, listed = {command for page in PAGES for command in commands_in(page.read_text())}, help_of()
    for command in sorted(commands):
        assert re.search(rf"^\W*{command[0]}\b", listed, re.MULTILINE), f"there is no holdfast {command[0]}"


def test_commands_in_a_page() -> None:
    text = "`holdfast demo`, `holdfast store copy ./x`, the holdfast of kelp\n\n    $ holdfast live bot.py\n"
    assert commands_in(text) == {("demo",), ("store", "copy"), ("live",)}


def test_pins_are_names_and_versions_only() -> None:
    for path in (ROOT / "requirements").iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert lines
        assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ; .+)?$", line)] == []
