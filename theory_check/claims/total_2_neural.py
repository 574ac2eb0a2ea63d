"""Samples of the penalty method with one shared batch, neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.total_2 import RATE

CLAIM = Claim(
    id="total-2-neural",
    statement="O~(epsilon^-2) samples bring the ergodic mean of ‖∇Phi‖² to epsilon when both lower "
    "iterates share one reweighted batch, neural policy and reward",
    source="docs/theory.md section 5.3, with the variance of section 4.4",
    provenance="D",
    kind="identity",
    otherwise="No: gradients fall geometrically, the ergodic mean is a constant over T whatever the "
    "batches are, and the exponent is that of the imposed schedule.",
    assumptions=(
        "the schedule of section 5.3: sigma = epsilon^(1/2), T = 1/epsilon, a constant step, "
        "n = B = 1/epsilon, K = O(log(1/epsilon))",
        "the log-policies of the two lower iterates differ by O(sigma), so that the policy ratios stay "
        "bounded",
        "the policy class contains the optimum: its error would be a floor",
        "∇Phi_sigma is Lipschitz uniformly in sigma, in the parameters of the reward network",
        "the lower level converges linearly in the parameters of the policy network",
    ),
    experiment="sample-complexity-total-2-neural",
    rates=(RATE,),
)
