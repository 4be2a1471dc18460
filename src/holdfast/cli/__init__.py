"""The command line: `holdfast backtest`, `holdfast live`, `holdfast store …`; all of it is `main()`."""

from collections.abc import Sequence

__all__ = ("main",)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command (by default the process's own arguments) and exit with its code."""
    import sys

    from holdfast.cli.app import run

    sys.exit(run(sys.argv[1:] if argv is None else argv))
