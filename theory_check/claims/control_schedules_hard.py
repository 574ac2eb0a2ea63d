"""Negative control: schedules with one exponent too small, where the bounds bind."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_3 import RATE

FORBIDDEN = (
    "control-batch-3/2",
    "control-small-batch",
    "control-sigma-1/4",
    "control-few-iterations",
)

CLAIM = Claim(
    id="control-schedules-hard",
    statement="On plateau and valley less would do: independent batches of order epsilon^(-3/2) or "
    "1/epsilon, sigma = epsilon^(1/4), or epsilon^(-1/2) iterations.",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="No: every one of them leaves a term of the bound above the target; only a defect of "
    "the judge could miss it.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="control-schedules-hard",
    # The rule is that of the claims it guards, or catching it would say nothing about them.
    rates=tuple(
        replace(RATE, name=schedule, where={"schedule": schedule}) for schedule in FORBIDDEN
    ),
    expected="violated",
)
