"""`python -m holdfast.testing.campaign`: the campaign of kills."""

import sys

from holdfast.testing.campaign.command import main

__all__ = ("main",)

if __name__ == "__main__":
    sys.exit(main())
