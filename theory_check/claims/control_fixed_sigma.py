"""Negative control: a penalty parameter that does not shrink with the target."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.total_2 import RATE as TOTAL_2_RATE

CLAIM = Claim(
    id="control-fixed-sigma",
    statement="A fixed sigma would do, O~(epsilon^-2) samples in all with coupling; the penalty bias "
    "sigma² is left as a floor.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="identity",
    otherwise="No: the bias that a fixed sigma leaves is in closed form; only a defect of the judge "
    "could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-fixed-sigma",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(TOTAL_2_RATE, where={"schedule": "control-fixed-sigma"}),),
    expected="violated",
)
