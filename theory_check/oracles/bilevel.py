"""RLHF as the bilevel problem a solver sees: estimates in tables, pulled back to parameters."""

from __future__ import annotations

from abc import ABC

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling, LowerGradients, UpperGradients
from theory_check.models import PolicyModel, RewardModel
from theory_check.oracles.comparisons import Comparisons, comparisons_of
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.control import control_of
from theory_check.oracles.estimates.table_estimates import TableEstimates
from theory_check.problems import Problem


class RLHFOracle(ABC):
    """First-order information of both levels of ``problem``.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    policy_model
        Policy class; the problem's own when None.
    reward_model
        Reward class; the problem's own when None.
    comparisons
        What the problem compares where it is already enumerated.
    enumeration_budget
        Largest number of trajectories, or segments, to enumerate.
    device
        Where parameters and tables live.

    Attributes
    ----------
    estimates
        The gradients in tables.
    """

    estimates: TableEstimates

    def __init__(
        self,
        problem: Problem,
        *,
        policy_model: PolicyModel | None = None,
        reward_model: RewardModel | None = None,
        comparisons: Comparisons | None = None,
        enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
        device: torch.device | str = "cpu",
    ) -> None:
        self.control = control_of(problem, device)
        self.comparisons: Comparisons = (
            comparisons_of(problem, self.control, budget=enumeration_budget, device=device)
            if comparisons is None
            else comparisons
        )
        inputs = problem.model_inputs.to(device)
        self.reward_model: RewardModel = (
            problem.reward_class.bind(inputs) if reward_model is None else reward_model
        )
        self.policy_model: PolicyModel = (
            problem.policy_class.bind(inputs) if policy_model is None else policy_model
        )

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``-∇_lambda J``."""
        reward, log_policy = self.reward_model.table(upper), self.policy_model.table(lower)
        score = self.estimates.lower_scores(reward, log_policy, samples, "independent")
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
        both = torch.cat([lower, penalised])
        reward, policies = self.reward_model.table(upper), self.policy_model.table(both)
        score = self.estimates.lower_scores(reward, policies, samples, coupling)
        at_lower, at_penalised = (-self.policy_model.pullback(both, score)).chunk(2)
        return LowerGradients(at_lower=at_lower, at_penalised=at_penalised)

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return ``∇_phi G`` and ``∇_lambda G``."""
        reward, log_policy = self.reward_model.table(upper), self.policy_model.table(lower)
        tables = self.estimates.upper(reward, log_policy, samples)
        return UpperGradients(
            in_upper=self.reward_model.pullback(upper, tables.in_reward),
            in_lower=self.policy_model.pullback(lower, tables.in_policy),
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
        policies = self.policy_model.table(torch.cat([lower, penalised]))
        difference = self.estimates.visit_difference(policies, samples, coupling)
        return self.reward_model.pullback(upper, difference)
