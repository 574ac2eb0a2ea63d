"""Estimates from the rows that were drawn: parameters to gradients, without a table in between.

The same estimators of the same samples as :mod:`theory_check.oracles.estimates.simulated_estimates`, from
the same streams; models are asked for the states on the way of what was drawn alone
(``docs/theory.md`` section 4.12).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import Coupling, UpperGradients
from theory_check.errors import LARGEST_TABLE, InvalidArgumentError
from theory_check.kernels.drawn_walks import drawn_labels, lane_uniforms
from theory_check.kernels.simulation import PAIRS
from theory_check.kernels.walks import LANES
from theory_check.models.base import ReadsRows
from theory_check.oracles.estimates.drawn_walks import Walker, Walks
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.sample_source import SampleSource


@dataclass(frozen=True, eq=False)
class DrawnEstimates:
    """Gradients of both levels in parameters, of classes that answer for rows.

    Where several policies are stacked, each is for all replicates: first all replicates of the one, then
    all of the next. Rewards are one for each replicate, or one for each stacked policy.

    Attributes
    ----------
    walker
        Who follows policies, and knows the control.
    reward_model
        The rewards.
    source
        Streams, labels and counters.
    """

    walker: Walker
    reward_model: ReadsRows
    source: SampleSource

    def lower_scores(
        self,
        upper: Float[Tensor, "rewards upper"],
        policies: Float[Tensor, "stacked lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked lower"]:
        """Return ``∇_lambda J`` of each policy: REINFORCE with reward-to-go, KL term included."""
        walks = self._rollouts(policies, samples, coupling)
        weights = walks.share[:, None]
        if coupling == "shared":
            weights = torch.cat(
                [weights.expand_as(walks.log_ratio), weights * walks.log_ratio.exp()]
            )
        scores = weights[:, None] * self._returns_to_go(upper, walks)
        return walks.scores(self.walker.model, scores)

    def visit_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        policies: Float[Tensor, "stacked lower"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_phi J`` of the first of two policies minus that of the second."""
        walks = self._rollouts(policies, samples, coupling)
        weights = walks.share[:, None]
        if coupling == "shared":
            weights = -weights * torch.expm1(walks.log_ratio)
        else:
            ours, theirs = weights.chunk(2)
            weights = torch.cat([ours, -theirs]).expand(-1, samples)
        pairs = walks.pairs[: len(weights)]
        return self._pulled(upper, pairs, weights[:, None] * self._discounts)

    def upper(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> UpperGradients:
        """Return residuals times visits, and losses times the score of both members' steps."""
        costs = self.source.costs
        self._require_room(samples, costs.pair_trajectories + costs.pair_labels)
        self.source.count_pairs(lower, samples)
        walks, losses, residuals = self._labelled(upper, lower, samples)
        return UpperGradients(
            in_upper=self._from_residuals(upper, walks, residuals),
            in_lower=walks.scores(self.walker.model, losses[:, None].expand_as(walks.log_taken)),
        )

    def preference_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: int,
    ) -> Float[Tensor, "replicate upper"]:
        """Return residuals of labelled pairs times visits."""
        self._require_room(samples, 3)
        self.source.count_comparisons(lower, samples)
        walks, _, residuals = self._labelled(upper, lower, samples)
        return self._from_residuals(upper, walks, residuals)

    def _rollouts(self, policies: Tensor, samples: int, coupling: Coupling) -> Walks:
        """Follow every policy, or the first of two, which the second one reads as well."""
        source = self.source
        followed = policies if coupling == "independent" else policies.chunk(2)[0]
        self._require_room(samples, len(followed) // source.replicates)
        source.count_rollouts(followed, samples, source.costs.visit_steps)
        streams, numbers = source.rollouts[: len(followed)], 2 * self.walker.steps
        uniform = lane_uniforms(streams, -(-samples // LANES), numbers)
        return self.walker.follow(followed, policies, uniform[..., :samples])

    def _labelled(
        self, upper: Tensor, lower: Tensor, samples: int
    ) -> tuple[
        Walks,
        Float[Tensor, "replicate trajectory"],
        Float[Tensor, "replicate trajectory"],
    ]:
        """Draw pairs; return trajectories, first members before second ones, and (losses, residuals).

        Both are divided by the number of pairs.
        """
        numbers, pair = 2 * self.walker.steps, np.arange(samples)
        first = pair // PAIRS * LANES + pair % PAIRS
        uniform = lane_uniforms(self.source.pairs, -(-samples // PAIRS), numbers + 1)
        lanes = np.concatenate([first, first + PAIRS])
        walks = self.walker.follow(lower, lower, uniform[:, :numbers, lanes])
        ahead = self._ahead(self._rewards(upper, walks))
        true_rewards = self.source.true_rewards(walks.pairs)
        truly_ahead = self._ahead(true_rewards.view_as(walks.log_taken))
        annotator, excess = self.source.law.compiled, self.source.excess
        numbers_of_labels = np.ascontiguousarray(uniform[:, numbers, first])
        found = drawn_labels(ahead, truly_ahead, numbers_of_labels, annotator, excess)
        share = 2 * walks.share[:, None]  # of a pair: there are two trajectories in each
        losses, residuals = (share * torch.from_numpy(each).to(share.device) for each in found)
        return walks, losses.repeat(1, 2), torch.cat([residuals, -residuals], dim=1)

    def _ahead(
        self, rewards: Float[Tensor, "replicate step trajectory"]
    ) -> Float[np.ndarray, "replicate pair"]:
        """Return by how much the return of the first member of every pair is larger."""
        first, second = (self._discounts * rewards).sum(1).chunk(2, dim=1)
        return as_array(first - second)

    def _from_residuals(self, upper: Tensor, walks: Walks, residuals: Tensor) -> Tensor:
        return self._pulled(upper, walks.pairs, residuals[:, None] * self._discounts)

    def _returns_to_go(self, upper: Tensor, walks: Walks) -> Float[Tensor, "read step trajectory"]:
        """Return ``sum_{k >= h} gamma^k (r_k - beta log(pi_k / pi_ref))`` of every step."""
        control = self.walker.control
        log_reference = control.log_reference.flatten()[walks.pairs]
        divergence = walks.log_taken - log_reference.view_as(walks.log_taken)
        regularised = self._rewards(upper, walks) - control.kl_weight * divergence
        return (self._discounts * regularised).flip(1).cumsum(1).flip(1)

    def _rewards(self, upper: Tensor, walks: Walks) -> Float[Tensor, "read step trajectory"]:
        """Return the rewards on the way."""
        found = self.reward_model.rows(upper, self._by_reward(upper, walks.pairs))
        own = found.view(len(upper), -1, walks.pairs.shape[1])
        return own.transpose(0, 1).reshape(walks.log_taken.shape)

    def _pulled(
        self,
        upper: Tensor,
        pairs: Int[Tensor, "stacked row"],
        weights: Float[Tensor, "stacked step trajectory"],
    ) -> Float[Tensor, "replicate upper"]:
        """Return the gradient in the rewards of the weighted sum of those on the way."""
        index, cotangent = (self._by_reward(upper, each) for each in (pairs, weights.flatten(1)))
        return self.reward_model.rows_pullback(upper, index, cotangent)

    def _by_reward(self, upper: Tensor, values: Tensor) -> Tensor:
        """Return values of stacked policies, of shape (stacked, row), side by side under one reward."""
        if len(values) == len(upper):
            return values  # itself: models remember what was read for the same rows
        return values.view(-1, len(upper), values.shape[1]).transpose(0, 1).flatten(1)

    @cached_property
    def _discounts(self) -> Float[Tensor, "1 step 1"]:
        control = self.walker.control
        steps = torch.arange(self.walker.steps).to(control.initial)
        return (control.discount**steps)[None, :, None]

    def _require_room(self, samples: int, counted: int) -> None:
        """Refuse a batch of too many rows, unless the budget ends before it is drawn."""
        entries = self.walker.steps * self.walker.control.policy_shape[2]
        if self.source.outlasts(samples, entries, counted, LARGEST_TABLE):
            raise InvalidArgumentError(
                "samples",
                f"{samples} in a batch, whose rows have {entries} numbers each",
                f'pass at most {LARGEST_TABLE // entries}, or read = "table" or "auto"',
            )
