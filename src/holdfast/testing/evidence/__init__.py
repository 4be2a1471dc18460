"""The evidence: what Holdfast's promises were put through, counted in a ledger, and the page that the ledger writes.

    python -m holdfast.testing.evidence conformance            # every level of the kit on every backend and setting
    python -m holdfast.testing.evidence campaign --minutes 60  # every way of trying, by turns; it goes on where it was
    python -m holdfast.testing.evidence play histories:redis --seed 17      # one seed of one way again
    python -m holdfast.testing.evidence page --check

Numbers get into the page by no other way. What was found broken stops a campaign, and stays in the ledger until a
person has removed it.
"""

__all__ = ()
