"""The page: prose that people write, and between markers blocks that the ledger says.

<!-- evidence: targets -->
…
<!-- /evidence -->
"""

import re
from pathlib import Path
from typing import Final

from holdfast.errors import InvalidOption
from holdfast.testing.evidence.ledger import Ledger
from holdfast.testing.evidence.tables import BLOCKS

__all__ = ("is_current", "rewritten", "write")

BLOCK: Final = re.compile(r"(<!-- evidence: ([\w-]+) -->\n).*?(<!-- /evidence -->)", re.DOTALL)


def rewritten(text: str, ledger: Ledger) -> str:
    """Return a page with each block as the ledger says it; raises InvalidOption where one is unknown or missing."""
    there = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(there) != sorted(BLOCKS):
        raise InvalidOption(f"the page has the blocks {there}, and is to have {list(BLOCKS)}, once each")
    return BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]](ledger)}\n\n{found[3]}", text)


def write(page: Path, ledger: Ledger) -> None:
    """Write the blocks of a page anew; all else stays as it is."""
    text = rewritten(page.read_text(encoding="utf-8"), ledger)
    part = page.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(page)


def is_current(page: Path, ledger: Ledger) -> bool:
    """Return whether a page says what the ledger does."""
    text = page.read_text(encoding="utf-8")
    return rewritten(text, ledger) == text
