"""Sublinear convergence of the lower level without regularisation."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

CLAIM = Claim(
    id="inner-sublinear",
    statement="Softmax policy gradient without a KL term: J* - J(lambda_K) = O(1/K)",
    source="arXiv 2005.06392, Theorem 4",
    provenance="V",
    kind="proved inequality",
    otherwise="Only by a failed assumption, or a run too short to leave the transient, which reads as "
    "slower or faster; the theorem and its lower bound exclude anything else.",
    assumptions=(
        "tabular softmax policy and exact gradients, KL weight 0, rewards in [0, 1]",
        "uniform start and a step size of at most the inverse smoothness",
        "start law with full support",
        "discounted problems; to episodes the statement is carried over",
    ),
    experiment="inner-sublinear",
    rates=(
        PowerRate(
            name="1/K",
            x="inner_iteration",
            y="return_gap",
            exponent=1.0,
            reciprocal=True,
            limit="infinity",
            better="larger",
            resolution=0.05,
            rivals=(0.5, 2.0),
            y_units="value",
            x_symbol=r"$1/K$",
            y_symbol=r"$J^* - J(\lambda_K)$",
        ),
    ),
)
