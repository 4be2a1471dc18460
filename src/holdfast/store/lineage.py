"""Whether a server still has what it acknowledged: after a failover or a restored backup it may not.

Asynchronous replication loses the newest commits when a replica takes over. The head alone does not tell, since
it may have grown past the old one by then: so the newest commit that this process was told of is asked for too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import WentBack
from holdfast.store.base import CommitId
from holdfast.store.state import REMEMBERED_SECONDS

__all__ = ("Lineage",)

MARGIN = 60.0
"""A store forgets commit ids after ten minutes by its clock; this one stops asking a little earlier (s)."""


class Lineage:
    """The newest commit of a namespace that this process knows to be acknowledged.

    Ask on every new connection, before anything else is done on it: `newest` is the commit id to look up among the
    remembered ones, and `check` takes the answer.
    """

    def __init__(self) -> None:
        self.head = 0
        self._newest: CommitId | None = None
        self._at = 0.0
        self._told = False

    def begin(self) -> None:
        """Note that the store is opened: a user who was told of lost commits goes on from what is there."""
        if self._told:
            self.head, self._newest, self._told = 0, None, False

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Note a WentBack that passes on its way to the user."""
        try:
            yield
        except WentBack:
            self._told = True
            raise

    def acknowledged(self, commit_id: CommitId, head: int, now: float) -> None:
        """Note a commit of ours that is as durable as the store declares; `now` is monotonic time (s)."""
        self.head = max(self.head, head)
        self._newest, self._at = commit_id, now

    def newest(self, now: float) -> CommitId | None:
        """Return the commit id that the store must still remember; None where there is none to ask for."""
        return self._newest if now - self._at < REMEMBERED_SECONDS - MARGIN else None

    def check(self, head: int, *, remembers: bool, url: str, known: int | None = None) -> None:
        """Take the head that a connection found, and whether it remembers `newest`; raises WentBack.

        `known` is the `head` of before the connection was asked, where commits go on meanwhile on another one.
        """
        known = self.head if known is None else known
        if head >= known and remembers:
            self.head = max(self.head, head)
            return
        self._told = True
        raise WentBack(
            f"{url} has lost acknowledged commits: its head is {head}, and this process was told {known} "
            f"(newest commit {self._newest}). A replica took over, or a backup was restored: compare with the exchange",
            known=known,
            found=head,
        )
