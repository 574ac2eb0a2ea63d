"""Noise of the penalty estimator with one shared, reweighted batch."""

from theory_check.claims.base import Claim, PowerRate

CLAIM = Claim(
    id="gradient-noise-coupled",
    statement="E‖g_hat - E g_hat‖² = Theta(1/n), free of sigma, for one shared batch",
    source="docs/theory.md section 4, coupled variant",
    provenance="D",
    assumptions=(
        "one batch from lambda, reweighted for lambda_sigma by policy ratios",
        "lambda_sigma - lambda* = O(sigma), so that the policy ratios stay bounded",
    ),
    experiment="gradient-noise",
    rates=(
        PowerRate(
            name="1/sigma",
            x="sigma",
            y="sampling_error",
            exponent=0.0,
            reciprocal=True,
            limit="zero",
            better="smaller",
            resolution=0.1,
            y_units="squared norm",
            x_symbol=r"$1/\sigma$",
            y_symbol=r"$\mathbb{E}\|\hat g - \mathbb{E}\hat g\|^2$",
            where={"coupling": "shared", "sweep": "sigma"},
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
            y_units="squared norm",
            x_symbol=r"$1/n$",
            y_symbol=r"$\mathbb{E}\|\hat g - \mathbb{E}\hat g\|^2$",
            where={"coupling": "shared", "sweep": "trajectories"},
        ),
    ),
    audits=("policy-support",),
)
