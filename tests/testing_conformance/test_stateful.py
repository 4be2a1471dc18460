"""Thousands of steps of the kit's state machine, where steps are quick: in memory, with no process that is killed.

With processes that are killed it is a check of the kit's, made in test_backends.py and by the campaign.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.testing.conformance import Bench, Pace, Subject, examine


@pytest.mark.parametrize(
    ("url", "times"), [("memory:", 32), ("file:{folder}/data", 18), ("sqlite:///{folder}/state.db", 18)]
)
def test_any_sequence_of_steps_leaves_what_a_dict_and_a_list_hold(
    url: str, times: int, bench: Bench, quick_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    subject = Subject.of_url(url.replace("{folder}", str(quick_folder / "stateful")))
    subject.address = None  # no other process finds it: nobody is killed
    report = examine(subject, only=["stateful"], bench=bench, pace=Pace(times=times, limit=300.0))
    (result,) = report.results
    assert result.state == "kept", (result.said, result.history)
    assert result.counts["steps"] > 1_000
    record_property("steps", result.counts["steps"])
