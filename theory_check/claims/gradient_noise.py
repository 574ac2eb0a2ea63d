"""Noise of the penalty estimator with independent batches."""

from theory_check.claims.base import Claim
from theory_check.claims.rates import PowerRate

RATES = (
    PowerRate(
        name="1/sigma",
        x="sigma",
        y="sampling_error",
        exponent=2.0,
        reciprocal=True,
        limit="zero",
        better="smaller",
        resolution=0.1,
        rivals=(0.0, 1.0),
        y_units="squared norm",
        x_symbol=r"$1/\sigma$",
        y_symbol=r"$\mathbb{E}\|\hat g - \mathbb{E}\hat g\|^2$",
        where={"coupling": "independent", "sweep": "sigma"},
        correction="linear",
    ),
    PowerRate(
        name="1/n",
        x="trajectories",
        y="sampling_error",
        exponent=1.0,
        reciprocal=True,
        limit="infinity",
        better="larger",
        resolution=0.05,
        rivals=(0.5, 2.0),
        y_units="squared norm",
        x_symbol=r"$1/n$",
        y_symbol=r"$\mathbb{E}\|\hat g - \mathbb{E}\hat g\|^2$",
        where={"coupling": "independent", "sweep": "trajectories"},
    ),
)

CLAIM = Claim(
    id="gradient-noise",
    statement="E‖g_hat - E g_hat‖² = Theta(1/(sigma² n)) for independent batches",
    source="arXiv 2503.17644, variance of the penalty gradient estimator",
    provenance="S",
    kind="identity",
    otherwise="No: the variance of a mean of n terms, and of two independent means over sigma; only a "
    "defect, or a sigma too large for the limit, could give other exponents.",
    assumptions=(
        "independent batches for the two lower iterates, n trajectories each",
        "bounded reward gradients along a trajectory",
    ),
    experiment="gradient-noise",
    rates=RATES,
)
