"""`holdfast store key`: a new key to encrypt a store with."""

import sys
import time
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli.output import Output
from holdfast.store import new_key

__all__ = ("key",)


def key(
    name: Annotated[
        str | None, Parameter(help="The key's name, which is no secret; today's date by default.")
    ] = None,
    /,
) -> None:
    """Print a new key for ?encrypt_key_file= or ?encrypt_key_env=, and nothing else, so that it can go into a file.

    Whoever has it reads the portfolio; without it nobody does, you neither: keep a copy apart from the store. A file
    holds several keys, a line each: the first encrypts, all decrypt. So a new one is put in front, and the old ones
    stay for as long as anything is encrypted with them.

    Example: `holdfast store key >> keys.txt` (after `umask 077`)
    """
    made = new_key(time.strftime("%Y-%m-%d", time.gmtime()) if name is None else name)
    sys.stdout.write(f"{made}\n")
    sys.stdout.flush()
    if sys.stdout.isatty():
        Output().note(
            "this secret is on your screen now: better write it to a file (umask 077; … key > keys.txt)"
        )
