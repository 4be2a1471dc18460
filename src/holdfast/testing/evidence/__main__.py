"""`python -m holdfast.testing.evidence`."""

import sys

from holdfast.testing.evidence.command import main

__all__ = ("main",)

if __name__ == "__main__":
    sys.exit(main())
