"""Samples of the penalty method with a constant outer step, neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.total_3 import RATE

CLAIM = Claim(
    id="total-3-neural",
    statement="O~(epsilon^-3) samples bring the ergodic mean of ‖∇Phi‖² to epsilon, with "
    "O~(1/epsilon) iterations, neural policy and reward",
    source="arXiv 2503.17644, headline; its schedule reconstructed",
    provenance="R",
    kind="identity",
    otherwise="No: gradients fall geometrically, the ergodic mean is a constant over T whatever the "
    "batches are, and the exponent is that of the imposed schedule.",
    assumptions=(
        "the reconstructed schedule: sigma = epsilon^(1/2), T = 1/epsilon, a constant step, "
        "n = B = epsilon^-2, K = O(log(1/epsilon))",
        "the policy class contains the optimum: its error would be a floor",
        "∇Phi_sigma is Lipschitz uniformly in sigma, in the parameters of the reward network",
        "the lower level converges linearly in the parameters of the policy network",
    ),
    experiment="sample-complexity-total-3-neural",
    rates=(RATE,),
)
