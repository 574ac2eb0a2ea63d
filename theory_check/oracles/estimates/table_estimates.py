"""First-order information of both levels for reward and policy tables.

What is estimated, without models: ``RLHFOracle`` pulls these tables back to parameters. Estimators are
sums over what may be drawn, with weights: observed frequencies when sampled, probabilities when
exact. A subclass provides the weights and nothing else, so the expectation of every sampled
estimator is the exact one by construction (``docs/theory.md`` section 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.oracles.comparisons import Comparisons
from theory_check.oracles.control.response_system import UpperTables
from theory_check.oracles.control.soft_control import SoftControl


def winner_law(
    law: Float[Tensor, "replicate trajectory"],
    other: Float[Tensor, "replicate trajectory"],
    preferred: Float[Tensor, "winner loser"],
) -> Float[Tensor, "replicate winner loser"]:
    """Return the law of (winner, loser) among labelled pairs (``docs/theory.md`` section 4.6).

    ``(rho_i rho'_j + rho'_i rho_j) P*(i > j)`` where one of the pair follows ``law`` and the other one
    ``other``; of two equal laws ``2 rho_i rho_j P*(i > j)``, and ``rho_i^2`` for equal trajectories.
    """
    # On the diagonal P* is 1/2, so that the formula for distinct trajectories holds there too.
    ordered = law[:, :, None] * other[:, None, :]
    return (ordered + ordered.mT) * preferred


class TableEstimates(ABC):
    """Estimates of the gradients of ``J`` and ``G`` in tables.

    Where several policies are stacked, each is for all replicates of ``reward``: first all replicates
    of the one, then all of the next.

    Parameters
    ----------
    control
        That of the problem.
    """

    def __init__(self, control: SoftControl) -> None:
        self.control = control
        self._reference_reward = control.kl_weight * control.log_reference

    @abstractmethod
    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return ``dJ/dlog pi`` of each policy: its score times the regularised reward to go.

        ``"independent"`` draws ``samples`` rollouts from each policy; ``"shared"`` draws them from
        the first of two and reweights them for the second.
        """

    @abstractmethod
    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return the gradients of ``G`` from ``samples`` labelled pairs."""

    @abstractmethod
    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return ``dJ/dr`` of the first policy minus that of the second, two being stacked."""

    @abstractmethod
    def preference_gradient(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return the gradient of ``G`` in the reward at a fixed law, from labelled pairs."""

    @abstractmethod
    def later_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted discounted visits after the step of each weight."""

    def continued_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return weighted discounted visits from the step of each weight on.

        The visit at that step is known; only what follows is estimated
        (``docs/theory.md`` section 4.11).
        """
        return weights.sum(1) + self.later_visits(log_policy, weights, rollouts)

    def regularised_reward(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
    ) -> Float[Tensor, "stacked h s a"]:
        """Return ``r - beta log(pi / pi_ref)`` of every step."""
        offered = reward[:, None] + self._reference_reward
        stacked = policies.reshape(-1, *offered.shape)
        return torch.sub(offered, stacked, alpha=self.control.kl_weight).flatten(0, 1)


class EnumeratedEstimates(TableEstimates):
    """Estimates over enumerated trajectories, each of which has a weight.

    Parameters
    ----------
    control, comparisons
        Those of the problem.
    """

    def __init__(self, control: SoftControl, comparisons: Comparisons) -> None:
        super().__init__(control)
        self.comparisons = comparisons
        self.space = comparisons.space

    @abstractmethod
    def comparison_residuals(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return the derivative of the mean loss in every return, from ``samples`` labelled pairs."""

    @abstractmethod
    def comparison_frequencies(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        opponent: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate winner loser"]:
        """Return how often each trajectory won against each other one among labelled pairs.

        One of each pair follows ``log_policy``, the other one ``opponent``.
        """

    @abstractmethod
    def implicit_objective_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"], samples: int
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in ``log pi`` of ``G`` with the implicit returns of the policy itself.

        From ``samples`` labelled pairs: residuals through the returns, and losses times the score
        through the law of the pairs (``docs/theory.md`` section 7.10).
        """

    def preference_gradient(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return residuals of labelled pairs times visits."""
        residuals = self.comparison_residuals(self.space.returns(reward), log_policy, samples)
        return self.space.to_reward_table(residuals, self.control.policy_shape[1:])

    def implicit_returns(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``beta sum_h gamma^h log(pi_h / pi_ref)`` along every trajectory."""
        log_ratio = log_policy - self.control.log_reference
        return self.control.kl_weight * self._along(log_ratio)

    def implicit_return_gradient(
        self, weights: Float[Tensor, "replicate trajectory"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in ``log pi`` of ``sum(weights * implicit_returns)``."""
        space, beta = self.space, self.control.kl_weight
        flat = weights.new_zeros(weights.shape[0], space.table_size)
        for step in range(space.horizon):
            flat.index_add_(1, space.step_index[:, step], beta * space.discounts[step] * weights)
        return flat.reshape(-1, *self.control.policy_shape)

    def _along(
        self, table: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``sum_h gamma^h table_h(s_h, a_h)`` along every trajectory."""
        taken = table.flatten(1)[:, self.space.step_index.reshape(-1)]
        return taken.reshape(-1, *self.space.step_index.shape) @ self.space.discounts
