"""The error bound of the penalised lower level."""

from theory_check.claims.audits.base import Audit, GrowthRule

AUDIT = Audit(
    id="error-bound",
    statement="‖∇_lambda h_sigma(lambda')‖ >= mu dist(lambda', argmin h_sigma) along the run, with "
    "mu > 0 that does not vanish with sigma",
    source="docs/theory.md section 5.5",
    symbol=r"$\mu_{\mathrm{EB}}$",
    # Growth of order p gives |grad| ~ dist^(p - 1) beyond the reach of sigma G, and a constant that
    # vanishes with sigma within it. Minimisers are known to 1e-14 over mu, at worst.
    rule=GrowthRule(
        x="penalised_distance",
        y="penalised_gradient",
        power=1,
        scale=1.0,
        resolved=1e-8,
        resolution=0.1,
        uniform_in="solver.sigma",
    ),
)
