"""Exact expectations of both levels' gradients where trajectories are not enumerated."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.oracles.comparisons.upper import UpperObjective
from theory_check.oracles.control.response_system import UpperTables
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.table_estimates import TableEstimates


class SummedEstimates(TableEstimates):
    """Dynamic programmes for ``J`` and characteristic functions for ``G``; nothing is drawn.

    Parameters
    ----------
    control
        That of the problem.
    objective
        The upper objective.
    """

    def __init__(self, control: SoftControl, objective: UpperObjective) -> None:
        super().__init__(control)
        self._objective = objective

    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return the discounted occupancy times the regularised return to go."""
        rewards = self.regularised_reward(reward, policies)
        return self.control.discounted_occupancy(policies) * self.control.returns_to_go(
            rewards, policies
        )

    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return the partial derivatives of ``G``."""
        found = self._objective.evaluate(reward, log_policy)
        return UpperTables(in_reward=found.reward_gradient, in_policy=found.policy_gradient)

    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return how much more often the first policy takes every state and action."""
        return self.control.visit_difference(*policies.chunk(2))

    def preference_gradient(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return the gradient of ``G`` in the reward."""
        return self._objective.evaluate(reward, log_policy).reward_gradient

    def later_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted discounted visits after the step of each weight."""
        return self.control.continued_visits(log_policy, weights) - weights.sum(1)
