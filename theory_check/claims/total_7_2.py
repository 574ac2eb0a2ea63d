"""Samples of the penalty method with an outer step that shrinks like sigma."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.total_2 import RATE as TOTAL_2_RATE

CLAIM = Claim(
    id="total-7/2",
    statement="O(epsilon^(-7/2)) samples bring the ergodic mean of ‖∇Phi‖² to epsilon",
    source="arXiv 2410.15610, headline; its schedule reconstructed from arXiv 2309.01753",
    provenance="R",
    kind="identity",
    otherwise="No: gradients fall geometrically, the ergodic mean is a constant over T whatever the "
    "batches are, and the exponent is that of the imposed schedule.",
    assumptions=(
        "the reconstructed schedule: sigma = epsilon^(1/2), T = epsilon^(-3/2), a step of order "
        "sigma, n = B = epsilon^-2, K = O(log(1/epsilon))",
        "∇Phi_sigma is Lipschitz with a constant of at most O(1/sigma)",
        "the lower level converges linearly",
    ),
    experiment="sample-complexity-total-7-2",
    rates=(
        replace(
            TOTAL_2_RATE,
            exponent=3.5,
            resolution=0.35,
            minimum_decades=1.5,
            where={"schedule": "total-7/2"},
        ),
    ),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)
