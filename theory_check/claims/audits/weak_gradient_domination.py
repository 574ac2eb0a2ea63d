"""Weak gradient domination of the lower level."""

from theory_check.claims.audits.base import Audit, DominationRule

AUDIT = Audit(
    id="weak-gradient-domination",
    statement="J* - J <= c ‖∇_lambda J‖ + eps' along the run, with a negligible eps'",
    source="docs/theory.md section 5.5",
    symbol=r"$c_{\mathrm{WGD}}$",
    rule=DominationRule(x="lower_gradient", y="lower_gap", negligible=0.01),
)
