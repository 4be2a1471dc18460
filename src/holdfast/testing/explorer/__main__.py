"""`python -m holdfast.testing.explorer`: the crash-state campaign."""

import sys

from holdfast.testing.explorer.campaign import main

__all__ = ("main",)

if __name__ == "__main__":
    sys.exit(main())
