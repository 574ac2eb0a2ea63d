"""The schedule with independent batches suffices where its bound binds, and so do wasteful ones."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

CLAIM = Claim(
    id="schedules-hard",
    statement="On plateau and valley the schedule of schedule-3 keeps the mean ‖∇Phi‖² of the second "
    "half below 2 epsilon, and so do batches of order epsilon^(-5/2) and epsilon^-3",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: bias, noise and progress are in closed form there.",
    assumptions=("the construction of section 6.4",),
    experiment="schedules-hard",
    rates=tuple(
        replace(RATE, name=schedule, where={"schedule": schedule})
        for schedule in ("total-3", "wasteful-7/2", "wasteful-4")
    ),
)
