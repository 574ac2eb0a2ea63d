"""Negative control: batches of order 1/epsilon without coupling."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.total_2 import RATE as TOTAL_2_RATE

CLAIM = Claim(
    id="control-small-batch",
    statement="Batches of order 1/epsilon would do without coupling, O~(epsilon^-2) samples in all; the "
    "noise 1/(sigma² n) of independent batches then does not fall, and a floor is left.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="identity",
    otherwise="No: the noise of independent batches of order 1/epsilon does not fall; only a defect "
    "of the judge could miss the floor.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-small-batch",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(TOTAL_2_RATE, where={"schedule": "control-small-batch"}),),
    expected="violated",
)
