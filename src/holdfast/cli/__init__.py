"""The command line: `holdfast backtest`, `holdfast live`, `holdfast store …`; all of it is `main()`."""

from collections.abc import Sequence

__all__ = ("main",)

INTERRUPTED = 130
"""As in `codes`, which may not be imported yet."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command (by default the process's own arguments) and exit with its code."""
    import sys

    try:
        from holdfast.cli.app import run

        code = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # while all of this is imported, which takes most of a second
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED
    sys.exit(code)
