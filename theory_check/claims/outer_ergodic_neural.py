"""Ergodic convergence of the outer loop with neural policy and reward."""

from theory_check.claims.base import Claim
from theory_check.claims.outer_ergodic import RATE

CLAIM = Claim(
    id="outer-ergodic-neural",
    statement="(1/T) sum_t ‖∇Phi(phi_t)‖² = O(1/T) + floor with neural policy and reward, the floor set "
    "by sigma, K, n and the error of the policy class",
    source="arXiv 2410.15610 and arXiv 2503.17644, convergence of the outer loop",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by a failed assumption, which for networks nobody has proved: smoothness along "
    "the run, and a policy class that contains the optimum; a floor would show.",
    assumptions=(
        "Phi, that of the tabular policy and the neural reward, is smooth along the run, and the step "
        "size is below twice the inverse smoothness",
        "the policy class contains the optimum, or its error does not depend on T",
        "penalty bias, inner error and sampling error do not depend on T",
    ),
    experiment="outer-ergodic-neural",
    rates=(RATE,),
)
