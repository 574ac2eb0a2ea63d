"""Ergodic convergence of the outer loop."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

RATE = PowerRate(
    name="1/T",
    x="iteration",
    y="ergodic_stationarity",
    exponent=1.0,
    reciprocal=True,
    limit="infinity",
    better="larger",
    resolution=0.05,
    rivals=(0.5, 2.0),
    y_units="squared norm",
    x_symbol=r"$1/T$",
    y_symbol=r"$T^{-1}\,\sum_{t<T}\|\nabla\Phi(\phi_t)\|^2$",
    floor="allowed",
)

CLAIM = Claim(
    id="outer-ergodic",
    statement="(1/T) sum_t ‖∇Phi(phi_t)‖² = O(1/T) + floor, the floor set by sigma, K and n",
    source="arXiv 2503.17644 and arXiv 2308.02585, convergence of the outer loop",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by a failed assumption: too large a step, or an error of the estimate that does "
    "not fall, which reads as a floor. That the sum converges, so that the exponent is 1 "
    "and not less, is a property of these problems.",
    assumptions=(
        "Phi is smooth and the step size is at most the inverse smoothness",
        "penalty bias, inner error and sampling error do not depend on T",
    ),
    experiment="outer-ergodic",
    rates=(RATE,),
    audits=("outer-step", "inner-step", "error-bound"),
)
