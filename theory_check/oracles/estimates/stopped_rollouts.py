"""Laws of rollouts that stop with probability ``1 - gamma`` after each step.

``docs/theory.md`` section 4.8. A rollout of two legs stops for the first time at (s, a), goes on from
there, and stops for good at (s', a').
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.control.discounted_control import DiscountedControl


@dataclass(frozen=True, eq=False)
class StoppedRollouts:
    """The law of where rollouts of a stationary policy stop, by one S x S inverse.

    Parameters
    ----------
    control
        Control of the problem.
    policy
        Action probabilities, shape (replicate, s, a).
    """

    control: DiscountedControl
    policy: Float[Tensor, "replicate s a"]

    @cached_property
    def stops_from(self) -> Float[Tensor, "replicate s s"]:
        """Law of the state of the stop given the state of the start, ``(1-gamma)(I - gamma P_pi)^-1``."""
        moves = torch.einsum("rsa,sat->rst", self.policy, self.control.transitions)
        identity = torch.eye(moves.shape[-1], dtype=moves.dtype, device=moves.device)
        gamma = self.control.discount
        # Without the check of inv: it would refuse the whole batch for one policy that is not finite.
        inverse: Tensor = torch.linalg.inv_ex(identity - gamma * moves).inverse
        # Probabilities of states out of reach come out as rounding, of either sign.
        return ((1 - gamma) * inverse).clamp_min(0.0)

    @cached_property
    def states(self) -> Float[Tensor, "replicate s"]:
        """``d^pi``: law of the state of the first stop."""
        return self.control.initial @ self.stops_from

    @cached_property
    def first_stops(self) -> Float[Tensor, "replicate s a"]:
        """Law of (s, a)."""
        return self.states[:, :, None] * self.policy

    @cached_property
    def arrivals(self) -> Float[Tensor, "replicate s a s"]:
        """Law of the state of the final stop of rollouts that do go on from (s, a)."""
        return torch.einsum("sat,rtu->rsau", self.control.transitions, self.stops_from)

    def mean_of_arrivals(
        self, values: Float[Tensor, "replicate s"]
    ) -> Float[Tensor, "replicate s a"]:
        """Return the mean of ``values`` over ``arrivals``, without tabulating their law."""
        ahead = (self.stops_from @ values[:, :, None]).squeeze(-1)
        return (ahead @ self.control.transitions.flatten(0, 1).T).reshape(self.policy.shape)

    @cached_property
    def two_stops(self) -> Float[Tensor, "replicate pair pair"]:
        """Law of (s, a), (s', a'): with probability ``1 - gamma`` they are the same."""
        gamma = self.control.discount
        first = self.first_stops.flatten(1)
        going_on = (self.arrivals[..., None] * self.policy[:, None, None]).flatten(3).flatten(1, 2)
        joint = gamma * first[:, :, None] * going_on
        joint.diagonal(dim1=1, dim2=2).add_((1 - gamma) * first)
        return joint
