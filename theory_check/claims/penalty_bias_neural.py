"""Bias of the penalty reformulation within a neural policy class, for a neural reward."""

from theory_check.claims.base import Claim
from theory_check.claims.penalty_bias import RATES

CLAIM = Claim(
    id="penalty-bias-neural",
    statement="‖∇Phi_sigma - ∇Phi‖ = O(sigma) and |Phi_sigma - Phi| = O(sigma) with a neural reward, "
    "Phi and Phi_sigma both those of the neural policy class, complete or not",
    source="arXiv 2410.15610, neural parametrisation of the bilevel problem; bias as in arXiv 2309.01753",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by its assumption, which for networks nobody has proved: where the Hessian "
    "changes rank near the minimisers the bias falls more slowly than sigma.",
    assumptions=(
        "lambda* and lambda_sigma are the minimisers within the class that descent from the seed's "
        "initial parameters leads to, certified",
        "the lower level grows quadratically across its manifold of minimisers (a Hessian of constant "
        "rank there), uniformly for small sigma",
        "the activation is smooth",
    ),
    experiment="penalty-bias-neural",
    rates=RATES,
)
