"""Negative control: the neighbour of schedule-2 with one exponent too small, where the bounds bind."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

CLAIM = Claim(
    id="control-schedule-2-hard",
    statement="On plateau and valley shared batches of order epsilon^(-1/2) would do;"
    " their noise does not fall with the target.",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="No: what is left is in closed form; only a defect of the judge could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="schedule-2-hard",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(RATE, where={"schedule": "control-shared-batch-1/2"}),),
    expected="violated",
)
