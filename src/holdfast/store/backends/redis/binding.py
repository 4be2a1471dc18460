"""What is known of a namespace, and whether the server that a line leads to still has it: its first question there."""

from typing import Any, Final

from holdfast.errors import Corrupt, FromTheFuture, StoreMissing, WentBack
from holdfast.store.backends.redis.errors import shaped
from holdfast.store.backends.redis.layout import FORMAT, Layout
from holdfast.store.backends.redis.scripts import BIND, Call
from holdfast.store.lineage import Lineage
from holdfast.system import Clock, Ids

__all__ = ("Binding",)

LONGEST: Final = 20
"""So many digits are no number any more."""

COUNTED: Final = 2**52
"""Nobody has counted so far; not far from there Lua's numbers have no next one."""


class Binding:
    """A namespace as this process knows it: its `lineage` and `incarnation` are what every request is compared with."""

    def __init__(self, where: str, namespace: str, *, clock: Clock, ids: Ids, read_only: bool) -> None:
        self.layout = Layout(namespace)
        self.lineage = Lineage()
        self.incarnation = ""
        self._where = where
        self._namespace = namespace
        self._clock = clock
        self._ids = ids
        self._read_only = read_only

    @property
    def known(self) -> tuple[int, str]:
        """The first two arguments of every script: the head that we were told of, and the incarnation."""
        return self.lineage.head, self.incarnation

    def begin(self) -> None:
        """Begin anew, as a store that is opened; what was acknowledged before stays known."""
        self.lineage.begin()
        if not self.lineage.head:
            self.incarnation = ""

    def question(self) -> Call:
        """Return what makes the namespace where there is none, and says what is there."""
        newest = self.lineage.newest(self._clock.monotonic()) or ""
        fresh = "" if self.incarnation or self._read_only else self._ids()
        return Call(BIND, (self.layout.meta, self.layout.recent), (FORMAT, fresh, self._namespace, newest))

    def answered(self, answer: Any, known: int) -> None:
        """Take what the server has; `known` is the head that we knew when it was asked.

        Raises StoreMissing, Corrupt, FromTheFuture, or WentBack where it has lost what we know.
        """
        form, name, head, remembers = shaped(answer, BIND.answers, self._where)
        if not form:
            raise self._emptied() if known or not self._read_only else self._missing()
        incarnation = name.decode(errors="replace")
        if not (_is_number(form) and int(form) and _is_number(head) and incarnation.encode() == name != b""):
            reason = f"its format, head or incarnation is none: {form!r:.80}, {head!r:.80}, {name!r:.80}"
            raise Corrupt(f"{self._where}: {self.layout.meta}: {reason}", key=None, reason=reason)
        if int(form) > FORMAT:
            raise self._newer(int(form))
        if self.incarnation not in {"", incarnation}:
            raise self._emptied()
        self.incarnation = incarnation
        self.lineage.check(int(head), remembers=bool(remembers), url=self._where, known=known)

    def _missing(self) -> StoreMissing:
        message = (
            f"nothing is stored in namespace {self._namespace!r} of {self._where}; nothing was made there"
        )
        return StoreMissing(message, url=self._where, namespace=self._namespace)

    def _newer(self, form: int) -> FromTheFuture:
        message = f"{self._where} was written by a newer Holdfast (format {form}, this one knows {FORMAT})"
        return FromTheFuture(f"{message}: upgrade this one", found=form, known=FORMAT)

    def _emptied(self) -> WentBack:
        known = self.lineage.head
        message = (
            f"{self._where} has lost this namespace (head {known}): it was emptied. Compare with the exchange"
        )
        return WentBack(message, known=known, found=0)


def _is_number(data: bytes) -> bool:
    """Whether it is one that a server counts up to."""
    return data.isdigit() and len(data) < LONGEST and int(data) <= COUNTED
