"""The outer step against the smoothness of the penalised hyperobjective."""

from theory_check.claims.audits.base import Audit, StepRule

AUDIT = Audit(
    id="outer-step",
    statement="eta L < 2 with L the largest spectral norm of ∇²Phi_sigma along the run",
    source="docs/theory.md section 5.5",
    symbol=r"$L_{\Phi_\sigma}$",
    rule=StepRule(column="outer_curvature", step="outer"),
)
