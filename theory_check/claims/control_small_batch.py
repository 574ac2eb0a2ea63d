"""Negative control: batches of order 1/epsilon without coupling."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.schedule_2 import RATE

CLAIM = Claim(
    id="control-small-batch",
    statement="Batches of order 1/epsilon would do without coupling; the noise 1/(sigma² n) of "
    "independent batches then does not fall, and a floor is left.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="measured",
    otherwise="No: the noise that is left is in closed form; only a defect of the judge could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-small-batch",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(RATE, where={"schedule": "control-small-batch"}),),
    expected="violated",
)
