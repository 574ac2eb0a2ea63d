"""Negative control: the penalty bias of the quartic lower level."""

from theory_check.claims.base import Claim
from theory_check.claims.control_quadratic import RATE as QUADRATIC_RATE

CLAIM = Claim(
    id="control-quartic",
    statement="On the quartic lower level, which has no error bound, the penalty bias would be "
    "O(sigma); it is of order sigma^(1/3).",
    source="docs/theory.md section 6.2",
    provenance="D",
    kind="identity",
    otherwise="No: the bias is in closed form, of order sigma^(1/3); only a defect of the judge could "
    "miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-quartic",
    # The rule that the quadratic passes.
    rates=(QUADRATIC_RATE,),
    expected="violated",
)
