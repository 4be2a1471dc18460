"""Bots killed at random points and times, thousands of times: `python -m holdfast.testing.campaign`.

A trial is planned from the seed and its number (`plan_of`) and counted (`Tally`); broken designs come first, and
must be noticed (`controls_noticed`).
"""

from holdfast.testing.campaign.command import main
from holdfast.testing.campaign.plan import Plan, plan_of
from holdfast.testing.campaign.trials import Tally, controls_noticed

__all__ = ("Plan", "Tally", "controls_noticed", "main", "plan_of")
