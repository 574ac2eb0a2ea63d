"""Linear convergence of the KL-regularised lower level."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import GeometricRate

CLAIM = Claim(
    id="inner-linear",
    statement="KL-regularised policy gradient: J* - J(lambda_K) <= C rho^K with some rho < 1",
    source="arXiv 2005.06392, Theorem 6 (entropy form)",
    provenance="V",
    kind="proved inequality",
    otherwise="Only by a failed assumption: too large a step, or a state that is never started in; "
    "the theorem excludes anything else.",
    assumptions=(
        "tabular softmax policy and exact gradients",
        "KL weight greater than 0 and a step size of at most the inverse smoothness",
        "start law with full support",
    ),
    experiment="inner-linear",
    rates=(
        GeometricRate(
            name="inner iterations",
            x="inner_iteration",
            y="lower_gap",
            minimum_decades=4.0,
            x_symbol=r"$K$",
            y_symbol=r"$J^* - J(\lambda_K)$",
        ),
    ),
    audits=("lower-pl", "inner-step"),
)
