"""Estimates for episodic problems: sums over whole trajectories."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.oracles.control.response_system import UpperTables
from theory_check.oracles.estimates.table_estimates import EnumeratedEstimates


class EpisodicEstimates(EnumeratedEstimates):
    """Sums over trajectories (``docs/theory.md`` sections 4.2 to 4.4)."""

    @abstractmethod
    def _trajectory_weights(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked trajectory"]:
        """Return weights over trajectories whose expectation is their law."""

    @abstractmethod
    def _weights_of_returns(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        """Return (losses, residuals) of labelled pairs at given returns, summed per trajectory.

        Losses multiply the score of a trajectory, residuals the derivative of its return.
        """

    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        """Return the same at the returns of a reward."""
        return self._weights_of_returns(self.space.returns(reward), log_policy, samples)

    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return REINFORCE with reward-to-go, KL term included."""
        if coupling == "independent":
            weights = self._trajectory_weights(policies, samples)
        else:
            first, second = policies.chunk(2)
            drawn = self._trajectory_weights(first, samples)
            weights = torch.cat([drawn, drawn * torch.exp(self._log_ratio(first, second))])
        return self.space.reward_to_go_score(self.regularised_reward(reward, policies), weights)

    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return residuals times visits, and losses times the score of both trajectories."""
        losses, residuals = self._pair_weights(reward, log_policy, samples)
        shape = self.control.policy_shape
        return UpperTables(
            in_reward=self.space.to_reward_table(residuals, shape[1:]),
            in_policy=self.space.to_policy_table(losses, shape),
        )

    def implicit_objective_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"], samples: int
    ) -> Float[Tensor, "replicate h s a"]:
        """Return residuals through the implicit returns, and losses times the score of both."""
        returns = self.implicit_returns(log_policy)
        losses, residuals = self._weights_of_returns(returns, log_policy, samples)
        through_law = self.space.to_policy_table(losses, self.control.policy_shape)
        return through_law + self.implicit_return_gradient(residuals)

    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return the difference of mean discounted visits."""
        first, second = policies.chunk(2)
        if coupling == "independent":
            weights = self._trajectory_weights(policies, samples)
            ours, theirs = weights.chunk(2)
            difference = ours - theirs
        else:
            drawn = self._trajectory_weights(first, samples)
            difference = -drawn * torch.expm1(self._log_ratio(first, second))
        return self.space.to_reward_table(difference, self.control.policy_shape[1:])

    def _log_ratio(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``log(rho_wanted / rho_drawn)``; the dynamics cancel."""
        return self.space.sum_along(wanted - drawn_from)
