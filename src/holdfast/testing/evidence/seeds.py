"""Seeds that were used, as people write them: "1-40,57"."""

from collections.abc import Iterable

__all__ = ("joined", "newest", "spelled")


def spelled(seeds: Iterable[int]) -> str:
    """Return seeds in order, neighbours as a range."""
    spans: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if spans and seed == spans[-1][-1] + 1:
            spans[-1][1:] = [seed]
        else:
            spans.append([seed])
    return ",".join("-".join(map(str, span)) for span in spans)


def joined(one: str, other: str) -> str:
    """Return two lists of seeds as one."""
    return spelled([*_seeds(one), *_seeds(other)])


def newest(text: str) -> int:
    """Return the greatest seed; 0 where there is none."""
    return max(_seeds(text), default=0)


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
