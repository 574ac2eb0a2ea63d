"""Noise of the penalty estimator with independent batches, neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.gradient_noise import RATES

CLAIM = Claim(
    id="gradient-noise-neural",
    statement="E‖g_hat - E g_hat‖² = Theta(1/(sigma² n)) for independent batches, with neural policy "
    "and reward",
    source="arXiv 2503.17644, variance of the penalty gradient estimator",
    provenance="S",
    kind="identity",
    otherwise="No: the variance of a mean of n terms, and of two independent means over sigma, "
    "whatever the classes; only a defect, or a sigma too large, could give other exponents.",
    assumptions=(
        "independent batches for the two lower iterates, n trajectories each",
        "bounded gradients of the reward network in its parameters",
    ),
    experiment="gradient-noise-neural",
    rates=RATES,
)
