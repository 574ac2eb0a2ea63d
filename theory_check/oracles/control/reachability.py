"""Which states a problem can get to at all."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def reachable_states(
    transitions: Float[Tensor, "s a t"], initial: Float[Tensor, " s"]
) -> Bool[Tensor, " s"]:
    """Return which states some policy reaches from the start law."""
    leads_to = (transitions > 0).any(1)
    reached = initial > 0
    while True:
        further = reached | leads_to[reached].any(0)
        if bool((further == reached).all()):
            return reached
        reached = further
