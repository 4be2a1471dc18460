"""What must be there: between what was acknowledged and what was asked for, and nothing else."""

from collections.abc import Sequence

from msgspec import Struct

from holdfast.testing.targets.steps import Contents, timeline

__all__ = ("Told", "settled", "told")


class Told(Struct, frozen=True):
    """What marks say: commits up to `least` were acknowledged or seen, those up to `most` asked for."""

    least: int = 0
    most: int = 0

    def then(self, mark: str) -> "Told":
        """Return what is known after one more mark: `asked 3`, `done 3` or `found 3`."""
        what, _, number = mark.partition(" ")
        if what == "found":  # the commits that were asked for before, and not found, never come
            return Told(int(number), int(number))
        if what == "asked":
            return Told(self.least, max(self.most, int(number)))
        return Told(max(self.least, int(number)), self.most) if what == "done" else self


def told(marks: Sequence[str]) -> Told:
    """Return what marks say."""
    known = Told()
    for mark in marks:
        known = known.then(mark)
    return known


def settled(found: Contents, seed: str, known: Told) -> tuple[int, str]:
    """Return after which commit a store is as it was found, and what is wrong if it is after none."""
    for number in range(known.most, known.least - 1, -1):
        if found == timeline(seed).after(number):
            return number, ""
    wrong = found.difference(timeline(seed).after(known.least))
    return -1, f"it is not as after any of commits {known.least} to {known.most}: {wrong}"
