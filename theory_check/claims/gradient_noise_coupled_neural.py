"""Noise of the penalty estimator with one shared, reweighted batch, neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.gradient_noise_coupled import RATES

CLAIM = Claim(
    id="gradient-noise-coupled-neural",
    statement="E‖g_hat - E g_hat‖² = Theta(1/n), free of sigma, for one shared batch, with neural "
    "policy and reward",
    source="docs/theory.md section 4.4, coupled variant",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by its assumption: where the Hessian of the policy network loses rank at the "
    "minimiser, the two log-policies need not be O(sigma) apart, and the noise grows as "
    "sigma falls.",
    assumptions=(
        "one batch from lambda, reweighted for lambda_sigma by policy ratios",
        "the log-policies of lambda_sigma and lambda* differ by O(sigma), so that the policy ratios "
        "stay bounded",
    ),
    experiment="gradient-noise-neural",
    rates=RATES,
)
