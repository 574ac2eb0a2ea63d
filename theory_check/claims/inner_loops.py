"""Convergence of the lower level, and what stopping its loops costs the gradient estimate."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import GeometricRate, PowerRate

INNER_LINEAR = Claim(
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

INNER_SUBLINEAR = Claim(
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

COMMON_START_RATE = PowerRate(
    name="1/sigma",
    x="sigma",
    y="inner_error",
    exponent=0.0,
    reciprocal=True,
    limit="zero",
    better="smaller",
    resolution=0.05,
    rivals=(1.0, 2.0),
    y_units="squared norm",
    x_symbol=r"$1/\sigma$",
    y_symbol=r"$\|\mathbb{E}\,\hat g - \nabla\Phi_\sigma\|^2$",
    where={"start": "common", "sweep": "sigma"},
    correction="quadratic",
)

INNER_ERROR_COMMON_START = Claim(
    id="inner-error-common-start",
    statement=(
        "with exact gradients, a common start and the same step sizes, ‖E[g_hat | inner iterates] "
        "- ∇Phi_sigma‖² at fixed K tends to a constant as sigma falls: the two loops apply maps "
        "that differ by O(sigma), so their errors cancel to O(sigma)"
    ),
    source="docs/theory.md section 3.4",
    provenance="D",
    kind="identity",
    otherwise="No: at fixed K a Taylor expansion in sigma of two loops that agree at sigma = 0; only "
    "a defect, or a sigma too large, could give another exponent.",
    assumptions=(
        "both loops start at the same policy and take the same steps, without independent noise",
        "h_sigma is differentiable in sigma",
    ),
    experiment="inner-error",
    rates=(COMMON_START_RATE,),
)

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

INNER_ERROR = Claim(
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
