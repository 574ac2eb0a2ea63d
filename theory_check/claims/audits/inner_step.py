"""The inner step against the smoothness of the lower level."""

from theory_check.claims.audits.base import Audit, StepRule

AUDIT = Audit(
    id="inner-step",
    statement="alpha L < 2 with L the largest spectral norm of the Hessians of J and h_sigma in "
    "lambda along the run",
    source="docs/theory.md section 5.5",
    symbol=r"$L_{h_\sigma}$",
    rule=StepRule(column="inner_curvature", step="inner"),
)
