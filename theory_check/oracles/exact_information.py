"""The bilevel interface with exact expectations in place of samples."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models.base import ABSENT
from theory_check.models.tabular_softmax import TabularSoftmax
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.comparisons.pairs import PairLoss
from theory_check.oracles.comparisons.upper import UpperObjective
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.response_system import ResponseSystem
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.discounted_estimates import (
    DiscountedEstimates,
    SegmentPairs,
    StoppedRollouts,
)
from theory_check.oracles.estimates.episodic_estimates import EpisodicEstimates
from theory_check.oracles.estimates.summed_estimates import SummedEstimates
from theory_check.oracles.estimates.table_estimates import (
    EnumeratedEstimates,
    TableEstimates,
    winner_law,
)
from theory_check.oracles.rlhf import RLHFOracle
from theory_check.problems import Problem

TABULAR_ALONE = "search tabular policies: their logits are what this method computes exactly"
"""What to do about a policy class whose parameters say nothing of the solution of the lower level."""


class ExactInformation(RLHFOracle):
    """What the sampled oracle estimates, without the sampling.

    The recorder uses it to split a solver's error; experiments about exact gradients run on it.
    Sample numbers are ignored, and nothing is counted.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    **options
        As for :class:`RLHFOracle`.
    """

    def __init__(self, problem: Problem, **options: Any) -> None:
        super().__init__(problem, **options)
        if isinstance(self.comparisons, UpperObjective):
            self.estimates: TableEstimates = SummedEstimates(self.control, self.comparisons)
        else:
            loss = PairLoss.of(problem, self.comparisons.space)
            self.estimates = _exact_estimates(self.control, self.comparisons, loss)

    def optimal_lower(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return the logits of the soft-optimal policy.

        Raises
        ------
        InvalidArgumentError
            If policies are not tabular.
        """
        self._require_tabular()
        reward = self.reward_model.table(upper)
        return self.control.optimal_log_policy(reward).flatten(1)

    def contracted_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return the logits after one application of the soft Bellman operator.

        Logits ``log pi_ref + Q / beta`` carry action values, whose soft maximum is
        ``V = beta log sum_a exp(logit)`` (``docs/theory.md`` section 7.5).

        Raises
        ------
        InvalidArgumentError
            If policies are not tabular.
        """
        self._require_tabular()
        control = self.control
        logits = lower.reshape(-1, *control.policy_shape)
        values = control.kl_weight * torch.logsumexp(control.existing(logits), dim=-1)
        if not control.rows_are_states:
            values = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
        ahead = control.onward.ahead_of_steps(values)
        action_values = self.reward_model.table(upper)[:, None] + control.discount * ahead
        contracted = control.log_reference + action_values / control.kl_weight
        if control.absent is not None:
            contracted = contracted.masked_fill(control.absent, ABSENT)
        return contracted.flatten(1)

    def adjoint_system(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> ResponseSystem:
        """Return ``(I - gamma P_pi)^T w = b`` (``docs/theory.md`` section 7.5)."""
        log_policy = self.policy_model.table(lower)
        tables = self.estimates.upper(self.reward_model.table(upper), log_policy, 1)
        return ResponseSystem.at(self.control, self.reward_model, upper, log_policy, tables)

    def _require_tabular(self) -> None:
        if not isinstance(self.policy_model, TabularSoftmax):
            raise InvalidArgumentError(
                "policy",
                type(self.policy_model).__name__,
                TABULAR_ALONE,
            )


class _ExactComparisons(EnumeratedEstimates):
    """What exact expectations of both versions share."""

    _loss: PairLoss

    def comparison_residuals(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate trajectory"]:
        law = self.comparisons.probabilities(log_policy)
        chance = torch.sigmoid(returns[:, :, None] - returns[:, None, :])
        residual = ((chance - self._preferred) @ law[:, :, None]).squeeze(-1)
        return 2 * law * residual

    def comparison_frequencies(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        opponent: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate winner loser"]:
        law, other = (self.comparisons.probabilities(each) for each in (log_policy, opponent))
        return winner_law(law, other, self._preferred)

    def later_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        return self.control.continued_visits(log_policy, weights) - weights.sum(1)

    @cached_property
    def _preferred(self) -> Float[Tensor, "winner loser"]:
        true_returns = self._loss.true_returns[self.space.class_of]
        differences = true_returns[:, None] - true_returns[None, :]
        law = self._loss.law
        return torch.sigmoid(differences) if law.standard else law.preferred(differences)


def _exact_estimates(
    control: SoftControl, comparisons: Comparisons, loss: PairLoss
) -> TableEstimates:
    if isinstance(control, DiscountedControl) and isinstance(comparisons, DiscountedComparisons):
        return _ExactDiscounted(control, comparisons, loss)
    return _ExactEpisodic(control, comparisons, loss)


class _ExactEpisodic(_ExactComparisons, EpisodicEstimates):
    def __init__(self, control: SoftControl, comparisons: Comparisons, loss: PairLoss) -> None:
        super().__init__(control, comparisons)
        self._loss = loss

    def _trajectory_weights(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked trajectory"]:
        return self.comparisons.probabilities(policies)

    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        law = self.comparisons.probabilities(log_policy)
        mean_loss, mean_residual = _mean_pairs(self._loss, self.comparisons, reward, law)
        return 2 * law * mean_loss, 2 * law * mean_residual

    def _weights_of_returns(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        # Trajectories with the same visits differ in other returns than those of a reward.
        law = self.comparisons.probabilities(log_policy)
        moments = self._loss.over_trajectories(self.space).moments(returns, law)
        mean_loss = moments.mean_loss + self._loss.loss_of_equals
        return 2 * law * mean_loss, 2 * law * moments.mean_residual


class _ExactDiscounted(_ExactComparisons, DiscountedEstimates):
    def __init__(
        self, control: DiscountedControl, comparisons: DiscountedComparisons, loss: PairLoss
    ) -> None:
        super().__init__(control, comparisons)
        self._loss = loss

    def _first_stops(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked s a"]:
        return StoppedRollouts(self.control, policies[:, 0].exp()).first_stops

    def _first_stop_changes(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        before, after = self._first_stops(torch.cat([drawn_from, wanted]), samples).chunk(2)
        return after - before

    def _two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        rollouts, gamma = StoppedRollouts(self.control, policies[:, 0].exp()), self.control.discount
        going_on = rollouts.mean_of_arrivals((rollouts.policy * values).sum(-1))
        return rollouts.first_stops * ((1 - gamma) * values + gamma * going_on)

    def _shared_two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        return self._two_legs(policies, values, samples)

    def _segment_pairs(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> SegmentPairs:
        space = self.space
        rollouts = StoppedRollouts(self.control, log_policy[:, 0].exp())
        continuation = space.probabilities(log_policy)
        law = rollouts.states[:, space.states[:, 0]] * continuation
        mean_loss, mean_residual = _mean_pairs(self._loss, self.comparisons, reward, law)
        from_state = space.sum_by_first_state(continuation * mean_loss, reward.shape[1])
        return SegmentPairs(
            losses=2 * law * mean_loss,
            residuals=2 * law * mean_residual,
            reached=rollouts.first_stops * rollouts.mean_of_arrivals(from_state),
        )


def _mean_pairs(
    loss: PairLoss,
    comparisons: Comparisons,
    reward: Float[Tensor, "replicate s a"],
    law: Float[Tensor, "replicate trajectory"],
) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
    """Return mean loss and mean residual of each trajectory against one that follows ``law``."""
    space = comparisons.space
    moments = loss.moments(space.class_returns(reward), space.sum_by_class(law))
    mean_loss = moments.mean_loss + loss.loss_of_equals
    return mean_loss[:, space.class_of], moments.mean_residual[:, space.class_of]
