"""RLHF as the bilevel problem a solver sees, through tables.

The estimators are sums over trajectories with weights: observed frequencies when sampled,
probabilities when exact. A subclass provides the weights and nothing else, so the expectation of
every sampled estimator is the exact one by construction (``docs/theory.md`` section 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling, LowerGradients, UpperGradients
from theory_check.models import PolicyModel, RewardModel, TabularSoftmax
from theory_check.oracles.soft_control import Dynamics
from theory_check.oracles.trajectories import (
    DEFAULT_ENUMERATION_BUDGET,
    TrajectorySpace,
    enumerate_trajectories,
)
from theory_check.problems import Problem


class RLHFOracle(ABC):
    """First-order information of both levels of ``problem``.

    Parameters
    ----------
    problem
        An episodic problem.
    policy_model
        Policy class; tabular softmax when None.
    reward_model
        Reward class; the problem's own when None.
    space
        The problem's trajectories where they are already enumerated.
    enumeration_budget
        Largest number of trajectories to enumerate.
    device
        Where parameters and tables live.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        policy_model: PolicyModel | None = None,
        reward_model: RewardModel | None = None,
        space: TrajectorySpace | None = None,
        enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
        device: torch.device | str = "cpu",
    ) -> None:
        self.space = (
            enumerate_trajectories(problem, budget=enumeration_budget, device=device)
            if space is None
            else space
        )
        self.dynamics = Dynamics.of(problem, device)
        self.reward_model = problem.reward_model if reward_model is None else reward_model
        self.policy_model: PolicyModel = (
            TabularSoftmax(*self.dynamics.policy_shape) if policy_model is None else policy_model
        )
        self.true_returns = self.space.returns(problem.true_reward.to(device)[None])[0]
        self.excess = problem.objective == "excess_risk"
        self._reference_reward = self.dynamics.kl_weight * self.dynamics.log_reference

    @abstractmethod
    def _trajectory_weights(
        self, log_policy: Float[Tensor, "replicate h s a"], samples: int
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return weights over trajectories whose expectation is their law."""

    @abstractmethod
    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        """Return (losses, residuals) of labelled pairs, summed per trajectory.

        Losses multiply the score of a trajectory, residuals its discounted visits.
        """

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``-∇_lambda J``: REINFORCE with reward-to-go, KL term included."""
        reward = self.reward_model.table(upper)
        log_policy = self.policy_model.table(lower)
        weights = self._trajectory_weights(log_policy, samples)
        step_reward = self._regularised_reward(reward, log_policy)
        score = self.space.reward_to_go_score(step_reward, weights)
        return -self.policy_model.pullback(lower, score)

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``-∇_lambda J`` at ``lambda`` and ``lambda'``, in one stacked program."""
        replicates = upper.shape[0]
        both = torch.cat([lower, penalised])
        reward = self.reward_model.table(upper)
        log_policy = self.policy_model.table(both)
        if coupling == "independent":
            weights = self._trajectory_weights(log_policy, samples)
        else:
            drawn = self._trajectory_weights(log_policy[:replicates], samples)
            ratio = self._importance_ratio(log_policy[:replicates], log_policy[replicates:])
            weights = torch.cat([drawn, drawn * ratio])
        step_reward = self._regularised_reward(reward, log_policy)
        score = self.space.reward_to_go_score(step_reward, weights)
        gradient = -self.policy_model.pullback(both, score)
        return LowerGradients(at_lower=gradient[:replicates], at_penalised=gradient[replicates:])

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∇_phi G`` and ``∇_lambda G``: residuals, and the score of both trajectories."""
        reward = self.reward_model.table(upper)
        log_policy = self.policy_model.table(lower)
        losses, residuals = self._pair_weights(reward, log_policy, samples)
        in_reward = self.space.to_reward_table(residuals, self.dynamics.policy_shape[1:])
        in_policy = self.space.to_policy_table(losses, self.dynamics.policy_shape)
        return UpperGradients(
            in_upper=self.reward_model.pullback(upper, in_reward),
            in_lower=self.policy_model.pullback(lower, in_policy),
        )

    def penalty_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_phi J(lambda) - ∂_phi J(lambda')``."""
        replicates = upper.shape[0]
        log_policy = self.policy_model.table(torch.cat([lower, penalised]))
        if coupling == "independent":
            weights = self._trajectory_weights(log_policy, samples)
            difference = weights[:replicates] - weights[replicates:]
        else:
            drawn = self._trajectory_weights(log_policy[:replicates], samples)
            log_ratio = self._log_importance_ratio(log_policy[:replicates], log_policy[replicates:])
            difference = -drawn * torch.expm1(log_ratio)
        table = self.space.to_reward_table(difference, self.dynamics.policy_shape[1:])
        return self.reward_model.pullback(upper, table)

    def _regularised_reward(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "stacked h s a"],
    ) -> Float[Tensor, "stacked h s a"]:
        """Return ``r - beta log(pi / pi_ref)`` of every step.

        Several policies may be stacked, each for all replicates of ``reward``.
        """
        offered = reward[:, None] + self._reference_reward
        policies = log_policy.reshape(-1, *offered.shape)
        return torch.sub(offered, policies, alpha=self.dynamics.kl_weight).flatten(0, 1)

    def _log_importance_ratio(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``log(rho_wanted / rho_drawn)``; the dynamics cancel."""
        return self.space.sum_along(wanted - drawn_from)

    def _importance_ratio(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate trajectory"]:
        return torch.exp(self._log_importance_ratio(drawn_from, wanted))
