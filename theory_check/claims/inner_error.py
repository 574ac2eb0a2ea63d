"""What stopping the inner loops costs: the bound."""

from theory_check.claims.base import Claim, GeometricRate, PowerRate

# ∇Phi_sigma is certified to an inner gradient of 1e-11 sigma, that is to about 1e-11 over the smallest
# curvature of the lower level, 1e-9 at a curvature of 0.01; squared, and relative to a start of 0.01.
_RESOLVED = 1e-16
_SYMBOL = r"$\|\mathbb{E}\,\hat g - \nabla\Phi_\sigma\|^2$"

CLAIM = Claim(
    id="inner-error",
    statement=(
        "‖E[g_hat | inner iterates] - ∇Phi_sigma‖² = O(rho^K / sigma²) after K inner steps; "
        "attained where the two loops start apart, faster where they start together"
    ),
    source="arXiv 2306.14853, lemma on the inner loops",
    provenance="S",
    assumptions=(
        "linear convergence of both inner loops",
        "exact gradients: noise in the inner loops is not stopping",
    ),
    experiment="inner-error",
    rates=(
        GeometricRate(
            name="K, separate starts",
            x="inner_iteration",
            y="inner_error",
            minimum_decades=4.0,
            x_symbol="$K$",
            y_symbol=_SYMBOL,
            resolved=_RESOLVED,
            where={"start": "separate", "sweep": "steps"},
        ),
        GeometricRate(
            name="K, common start",
            x="inner_iteration",
            y="inner_error",
            minimum_decades=4.0,
            x_symbol="$K$",
            y_symbol=_SYMBOL,
            resolved=_RESOLVED,
            where={"start": "common", "sweep": "steps"},
        ),
        PowerRate(
            name="1/sigma, separate starts",
            x="sigma",
            y="inner_error",
            exponent=2.0,
            reciprocal=True,
            limit="zero",
            better="smaller",
            resolution=0.1,
            y_units="squared norm",
            x_symbol=r"$1/\sigma$",
            y_symbol=_SYMBOL,
            where={"start": "separate", "sweep": "sigma"},
        ),
        PowerRate(
            name="1/sigma, common start",
            x="sigma",
            y="inner_error",
            exponent=2.0,
            reciprocal=True,
            limit="zero",
            better="smaller",
            resolution=0.1,
            y_units="squared norm",
            x_symbol=r"$1/\sigma$",
            y_symbol=_SYMBOL,
            where={"start": "common", "sweep": "sigma"},
        ),
    ),
    audits=("lower-pl", "error-bound", "inner-step"),
)
