"""The schedule with a step that shrinks like sigma suffices where the bounds bind."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

CLAIM = Claim(
    id="schedule-7/2-hard",
    statement="On plateau and valley the schedule of schedule-7/2 keeps the mean ‖∇Phi‖² of the "
    "second half below 2 epsilon",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: bias, noise and progress are in closed form there.",
    assumptions=("the construction of section 6.4",),
    experiment="schedule-7-2-hard",
    rates=(replace(RATE, where={"schedule": "total-7/2"}),),
)
