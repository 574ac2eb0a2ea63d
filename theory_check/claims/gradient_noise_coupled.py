"""Noise of the penalty estimator with one shared, reweighted batch."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.gradient_noise import RATES as INDEPENDENT_RATES

_SIGMA, _BATCH = INDEPENDENT_RATES

RATES = (
    replace(_SIGMA, exponent=0.0, where={**_SIGMA.where, "coupling": "shared"}),
    replace(_BATCH, where={**_BATCH.where, "coupling": "shared"}),
)

CLAIM = Claim(
    id="gradient-noise-coupled",
    statement="E‖g_hat - E g_hat‖² = Theta(1/n), free of sigma, for one shared batch",
    source="docs/theory.md section 4, coupled variant",
    provenance="D",
    kind="identity",
    otherwise="No, at exact lower solutions: they are O(sigma) apart by a Taylor expansion, so that "
    "one batch cancels sigma; only a defect, or a sigma too large, could give other "
    "exponents.",
    assumptions=(
        "one batch from lambda, reweighted for lambda_sigma by policy ratios",
        "lambda_sigma - lambda* = O(sigma), so that the policy ratios stay bounded",
    ),
    experiment="gradient-noise",
    rates=RATES,
    audits=("policy-support",),
)
