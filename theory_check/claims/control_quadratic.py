"""Positive control: the penalty bias of a quadratic lower level with a rank-deficient Hessian."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

RATE = PowerRate(
    name="gradient",
    x="solver.sigma",
    y="penalty_bias",
    exponent=2,
    reciprocal=False,
    limit="zero",
    better="larger",
    resolution=0.04,
    rivals=(1.0, 4.0),
    y_units="squared norm",
    x_symbol=r"$\sigma$",
    y_symbol=r"$\|\nabla\Phi_\sigma - \nabla\Phi\|^2$",
    correction="quadratic",
)

CLAIM = Claim(
    id="control-quadratic",
    statement="On a quadratic lower level with a rank-deficient Hessian (PL, not strongly convex) "
    "the penalty bias is O(sigma).",
    source="docs/theory.md section 6.1, closed form",
    provenance="D",
    kind="identity",
    otherwise="No: the bias is in closed form; only a defect of the program could give another "
    "exponent.",
    assumptions=("PL lower level",),
    experiment="control-quadratic",
    rates=(RATE,),
    audits=("error-bound", "lower-pl"),
)
