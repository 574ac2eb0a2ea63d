"""What stopping the inner loops costs when both start at the same policy."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

RATE = PowerRate(
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

CLAIM = Claim(
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
    rates=(RATE,),
)
