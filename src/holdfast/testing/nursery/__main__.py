"""`python -m holdfast.testing.nursery`: a nursery, until its stdin closes."""

from holdfast.testing.nursery.serving import main

__all__ = ("main",)

if __name__ == "__main__":
    main()
