"""What stopping the inner loops costs: the bound."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.inner_error_common_start import RATE as COMMON_START_RATE
from theory_check.claims.rates import GeometricRate

# ∇Phi_sigma is certified to an inner gradient of 1e-11 sigma, that is to about 1e-11 over the smallest
# curvature of the lower level, 1e-9 at a curvature of 0.01; squared, and relative to a start of 0.01.
_RESOLVED = 1e-16
_STEPS = GeometricRate(
    name="K, separate starts",
    x="inner_iteration",
    y="inner_error",
    minimum_decades=4.0,
    x_symbol="$K$",
    y_symbol=COMMON_START_RATE.y_symbol,
    resolved=_RESOLVED,
    where={"start": "separate", "sweep": "steps"},
)
_SIGMA = replace(
    COMMON_START_RATE,
    name="1/sigma, separate starts",
    exponent=2.0,
    resolution=0.1,
    rivals=(0.0, 1.0),
    where={"start": "separate", "sweep": "sigma"},
)

CLAIM = Claim(
    id="inner-error",
    statement=(
        "‖E[g_hat | inner iterates] - ∇Phi_sigma‖² = O(rho^K / sigma²) after K inner steps; "
        "attained where the two loops start apart, faster where they start together"
    ),
    source="arXiv 2306.14853, lemma on the inner loops",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by its assumption: without linear convergence of the inner loops the error is not "
    "geometric in K. The dependence on sigma is an identity: an error without sigma, over "
    "sigma.",
    assumptions=(
        "linear convergence of both inner loops",
        "exact gradients: noise in the inner loops is not stopping",
    ),
    experiment="inner-error",
    rates=(
        _STEPS,
        replace(_STEPS, name="K, common start", where={"start": "common", "sweep": "steps"}),
        _SIGMA,
        replace(_SIGMA, name="1/sigma, common start", where=COMMON_START_RATE.where),
    ),
    audits=("lower-pl", "error-bound", "inner-step"),
    identity_rates=(_SIGMA.name,),
)
