"""`python -m holdfast.testing.powercut`: the power-cut campaign."""

import sys

from holdfast.testing.powercut.campaign import main

__all__ = ("main",)

if __name__ == "__main__":
    sys.exit(main())
