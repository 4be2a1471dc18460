"""`python -m holdfast.testing.fuzzing`: the campaign."""

import sys

from holdfast.testing.fuzzing.campaign import main

__all__ = ()

if __name__ == "__main__":
    sys.exit(main())
