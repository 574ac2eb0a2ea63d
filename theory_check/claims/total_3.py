"""Samples of the penalty method with a constant outer step."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.total_2 import RATE as TOTAL_2_RATE

RATE = replace(TOTAL_2_RATE, exponent=3.0, resolution=0.3, where={"schedule": "total-3"})

CLAIM = Claim(
    id="total-3",
    statement="O~(epsilon^-3) samples bring the ergodic mean of ‖∇Phi‖² to epsilon, with "
    "O~(1/epsilon) iterations",
    source="arXiv 2503.17644, headline; its schedule reconstructed",
    provenance="R",
    kind="identity",
    otherwise="No: gradients fall geometrically, the ergodic mean is a constant over T whatever the "
    "batches are, and the exponent is that of the imposed schedule.",
    assumptions=(
        "the reconstructed schedule: sigma = epsilon^(1/2), T = 1/epsilon, a constant step, "
        "n = B = epsilon^-2, K = O(log(1/epsilon))",
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="sample-complexity-total-3",
    rates=(RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)
