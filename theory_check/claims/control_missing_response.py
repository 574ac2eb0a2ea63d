"""Negative control: a hypergradient without the response of the policy."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.outer_ergodic import RATE as ERGODIC_RATE

CLAIM = Claim(
    id="control-missing-response",
    statement="Descending along the direct gradient alone, without the response term, would bring "
    "the ergodic stationarity to 0 like 1/T; it ends at a floor.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="proved inequality",
    otherwise="No: the direct gradient vanishes elsewhere than the hypergradient; only a defect of "
    "the judge could miss the floor.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-missing-response",
    rates=(replace(ERGODIC_RATE, floor="refutes"),),
    expected="violated",
)
