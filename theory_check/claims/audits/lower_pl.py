"""The Polyak-Lojasiewicz inequality of the lower level."""

from theory_check.claims.audits.base import Audit, GrowthRule

AUDIT = Audit(
    id="lower-pl",
    statement="‖∇_lambda J‖² >= 2 mu (J* - J) along the run, with mu > 0",
    source="docs/theory.md section 5.5",
    symbol=r"$\mu_{\mathrm{PL}}$",
    # Growth of order p gives |grad|² ~ gap^(2 - 2/p): 1 at p = 2, 3/2 for the quartic. Rounding of a
    # gradient, 1e-16, is 1e-6 of one whose gap is 1e-20.
    rule=GrowthRule(
        x="lower_gap", y="lower_gradient", power=2, scale=2.0, resolved=1e-20, resolution=0.1
    ),
)
