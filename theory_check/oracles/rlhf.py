"""RLHF as the bilevel problem a solver sees: estimates in tables, pulled back to parameters."""

from __future__ import annotations

from abc import ABC
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    Coupling,
    LowerGradients,
    TotalGradient,
    UpperGradients,
)
from theory_check.errors import EnumerationBudgetError
from theory_check.models import PolicyModel, RewardModel
from theory_check.oracles.comparisons import Comparisons
from theory_check.oracles.comparisons.choice import compared
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.comparisons.upper import UpperObjective
from theory_check.oracles.control import control_of
from theory_check.oracles.control.inverse_control import InverseControl
from theory_check.oracles.estimates.table_estimates import EnumeratedEstimates, TableEstimates
from theory_check.problems import Problem


def data_residuals(
    returns: Float[Tensor, "replicate trajectory"], data: Float[Tensor, "replicate winner loser"]
) -> Float[Tensor, "replicate trajectory"]:
    """Return the derivative of the mean of ``-log P(winner > loser)`` over data in every return."""
    surprise = data * torch.sigmoid(returns[:, None, :] - returns[:, :, None])
    return surprise.sum(1) - surprise.sum(2)


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
        What the problem compares where it is already known: enumerated, or the upper objective without.
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
        comparisons: Comparisons | UpperObjective | None = None,
        enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
        device: torch.device | str = "cpu",
    ) -> None:
        self.control = control_of(problem, device)
        self.comparisons: Comparisons | UpperObjective = (
            compared(problem, self.control, budget=enumeration_budget, device=device)
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

    def lower_gradient_change(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        earlier_upper: Float[Tensor, "replicate upper"],
        earlier_lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> LowerGradients:
        """Return ``-∇_lambda J`` at two points, from one batch that is reweighted for the second."""
        both = torch.cat([lower, earlier_lower])
        rewards = self.reward_model.table(torch.cat([upper, earlier_upper]))
        score = self.estimates.lower_scores(
            rewards, self.policy_model.table(both), samples, "shared"
        )
        now, earlier = (-self.policy_model.pullback(both, score)).chunk(2)
        return LowerGradients(at_lower=now, at_penalised=earlier)

    def upper_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇_phi G``: labelled pairs whose law is not differentiated."""
        reward, log_policy = self.reward_model.table(upper), self.policy_model.table(lower)
        table = self.estimates.preference_gradient(reward, log_policy, samples)
        return self.reward_model.pullback(upper, table)

    def total_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
        rollouts: int,
        *,
        separate_values: bool = False,
    ) -> TotalGradient:
        """Return ``∇_phi G`` and the response of the soft-optimal policy, in the Boltzmann form.

        ``sum_h c_h (∂_phi Q_h)`` with the weights of ``docs/theory.md`` section 2.3, ``lambda`` in the
        place of ``lambda*``, and ``∂_phi Q`` from rollouts (section 4.11). With separate values,
        ``sum_h b_h (∂_phi Q_h - ∂_phi V_h) / beta`` from a batch for each.
        """
        log_policy = self.policy_model.table(lower)
        tables = self.estimates.upper(self.reward_model.table(upper), log_policy, samples)
        continued, beta = self.estimates.continued_visits, self.control.kl_weight
        if separate_values:
            taken = tables.in_policy / beta
            averaged = log_policy.exp() * taken.sum(-1, keepdim=True)
            visits = continued(log_policy, taken, rollouts)
            visits = visits - continued(log_policy, averaged, rollouts)
        else:
            weights = self.control.response_weights(log_policy, tables.in_policy)
            visits = continued(log_policy, weights, rollouts)
        return TotalGradient(
            direct=self.reward_model.pullback(upper, tables.in_reward),
            response=self.reward_model.pullback(upper, visits),
        )

    def pointwise_penalty_in_upper(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient of the Bellman penalty in ``phi`` (``docs/theory.md`` section 7.4).

        ``sum_{h,s} nu_h(s) (V*_h(s) - E_{a ~ pi'}[Q*_h - beta log(pi'/pi_ref)])``, uniform over the rows
        that are reached, with rollouts of the policy of ``lower`` in the place of ``pi*``.
        """
        optimal, policy = self.policy_model.table(lower), self.policy_model.table(penalised)
        weights = self._row_law * (optimal.exp() - policy.exp())
        visits = self.estimates.continued_visits(optimal, weights, rollouts)
        return self.reward_model.pullback(upper, visits)

    def pointwise_penalty_in_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: int,
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient of ``beta sum nu_h KL(pi'_h || pi*_h)`` in ``lambda'``, without drawing."""
        optimal, policy = self.policy_model.table(lower), self.policy_model.table(penalised)
        # Per entry of log pi' taken as free; what differs by a multiple of pi' vanishes in the model.
        slope = self.control.kl_weight * self._row_law * policy.exp() * (policy - optimal)
        return self.policy_model.pullback(penalised, slope)

    def preference_data(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate winner loser"]:
        """Return the frequencies of (winner, loser) among labelled pairs of a policy."""
        log_policy = self.policy_model.table(lower)
        return self.enumerated.comparison_frequencies(log_policy, log_policy, samples)

    def preference_data_between(
        self,
        lower: Float[Tensor, "replicate lower"],
        opponent: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate winner loser"]:
        """Return the same of pairs with one trajectory of each of two policies."""
        one, other = (self.policy_model.table(each) for each in (lower, opponent))
        return self.enumerated.comparison_frequencies(one, other, samples)

    def data_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        data: Float[Tensor, "replicate winner loser"],
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient of the mean of ``-log P_phi(winner > loser)`` over the data."""
        space = self.enumerated.space
        residuals = data_residuals(space.returns(self.reward_model.table(upper)), data)
        table = space.to_reward_table(residuals, self.control.policy_shape[1:])
        return self.reward_model.pullback(upper, table)

    def implicit_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient of the preference loss with the implicit reward of the policy.

        The return of a trajectory is ``beta sum_h gamma^h log(pi_h / pi_ref)``; the law of the
        pairs is not differentiated (``docs/theory.md`` section 7.9).
        """
        log_policy = self.policy_model.table(lower)
        estimates = self.enumerated
        returns = estimates.implicit_returns(log_policy)
        residuals = estimates.comparison_residuals(returns, log_policy, samples)
        table = estimates.implicit_return_gradient(residuals)
        return self.policy_model.pullback(lower, table)

    def implicit_objective_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: int
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient of the same loss, the law of the pairs included (7.10)."""
        table = self.enumerated.implicit_objective_gradient(self.policy_model.table(lower), samples)
        return self.policy_model.pullback(lower, table)

    def implicit_data_gradient(
        self,
        lower: Float[Tensor, "replicate lower"],
        data: Float[Tensor, "replicate winner loser"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient of the mean preference loss with the implicit reward over the data."""
        estimates = self.enumerated
        returns = estimates.implicit_returns(self.policy_model.table(lower))
        table = estimates.implicit_return_gradient(data_residuals(returns, data))
        return self.policy_model.pullback(lower, table)

    def implied_upper(
        self, lower: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return the reward parameters whose optimal policy is nearest to the policy.

        By inverse soft control, which takes the dynamics to be known; it is for reporting.
        """
        return self._inverse.reward_parameters(self.policy_model.table(lower))

    @property
    def enumerated(self) -> EnumeratedEstimates:
        """The estimates, where every trajectory has a weight.

        Raises
        ------
        EnumerationBudgetError
            Where trajectories are not enumerated.
        """
        if isinstance(self.estimates, EnumeratedEstimates):
            return self.estimates
        raise EnumerationBudgetError(
            "problem",
            "more trajectories than are enumerated",
            "use a method without kept preference data and without implicit rewards, a shorter horizon, "
            "or a larger enumeration_budget",
        )

    @cached_property
    def _row_law(self) -> Float[Tensor, "h s 1"]:
        """Uniform law over the rows (h, s) that policies reach."""
        reference = self.control.log_reference[None]
        reached = self.control.discounted_occupancy(reference)[0].sum(-1, keepdim=True) > 0
        return reached / reached.sum()

    @cached_property
    def _inverse(self) -> InverseControl:
        return InverseControl.of(self.control, self.reward_model)
