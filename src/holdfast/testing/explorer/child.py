"""The traced process: calls one function, by name, with the arguments given to it as text."""

import sys
from functools import reduce
from importlib import import_module

__all__ = ("main",)


def main() -> None:
    """Call `module:name` with all further arguments."""
    name, *arguments = sys.argv[1:]
    module, _, path = name.partition(":")
    reduce(getattr, path.split("."), import_module(module))(*arguments)  # type: ignore[operator]


if __name__ == "__main__":
    main()
