"""What is tried, and where: Holdfast's own version, the machine, and the programs that take part."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from holdfast.testing.evidence.ledger import Machine
from holdfast.testing.servers.process import find

__all__ = ("holdfast_version", "machine", "today")

ROOT: Final = Path(__file__).parents[4]
PROGRAMS: Final = {
    "Redis": ("redis-server", "--version"),
    "PostgreSQL": ("postgres", "--version"),
    "strace": ("strace", "--version"),
    "e2fsprogs": ("mkfs.ext4", "-V"),
    "xfsprogs": ("mkfs.xfs", "-V"),
}
LIBRARIES: Final = ("asyncpg", "hypothesis", "nx-27017", "pymongo", "redis")


def holdfast_version() -> str:
    """Return the commit that is checked out, with a + where its source was changed; else the version installed."""
    commit = _said("git", "-C", str(ROOT), "rev-parse", "--short=7", "HEAD").strip()
    if not commit or not (ROOT / "src/holdfast").is_dir():
        return version("holdfast")
    return commit + ("+" if _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src") else "")


def today() -> str:
    """Return the day, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def machine() -> Machine:
    """Return this machine: kernel, processor, interpreter, and the versions of what is used."""
    tools = {name: found for name, command in PROGRAMS.items() if (found := _number(command))}
    tools |= {name: found for name in LIBRARIES if (found := _library(name))}
    facts = {
        "system": f"{_distribution()}, Linux {platform.release()}".strip(", "),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tools": dict(sorted(tools.items())),
    }
    name = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:6]
    return msgspec.convert({"line": "machine", "name": name, **facts}, Machine)


def _number(command: Sequence[str]) -> str:
    program = find(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    said = _said(program, *command[1:]) if program else ""
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    except OSError:
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
