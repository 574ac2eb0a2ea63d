"""Sampled estimates where trajectories are not enumerated: rollouts and pairs followed step by step.

The same estimators of the same samples as with counts, and the same counters and streams; only the way in
which they are drawn differs (``docs/theory.md`` section 4.12).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import Coupling
from theory_check.errors import InvalidArgumentError
from theory_check.kernels.simulation import (
    simulated_pairs,
    simulated_reached,
    simulated_scores,
    simulated_visits,
)
from theory_check.kernels.walks import next_states_of
from theory_check.oracles.comparisons.characteristic import CharacteristicSums
from theory_check.oracles.control.response_system import UpperTables
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.sample_source import (
    SampleSource,
    sampled_later_visits,
)
from theory_check.oracles.estimates.sampled_estimates import SampledStops
from theory_check.oracles.estimates.table_estimates import TableEstimates

STEP_BUDGET = 5 * 10**9
"""Expected environment steps of one batch of a replicate: about half a minute of one core."""


class SimulatedPairs:
    """Labelled pairs followed step by step.

    Parameters
    ----------
    objective
        What is compared, and its control.
    source
        Streams and counters.
    """

    def __init__(self, objective: CharacteristicSums, source: SampleSource) -> None:
        self._objective = objective
        self._source = source
        self._true_reward = as_array(objective.true_reward)

    @cached_property
    def moves(self) -> Any:
        """Successors of every state and action, as kernels draw them."""
        return next_states_of(*self._objective.dynamics[2:])

    def tables(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return residuals times visits, and losses times the score of both members' steps."""
        found = simulated_pairs(
            self._source.pairs, *(*self._arguments(reward, log_policy), samples)
        )
        losses, residuals = (torch.from_numpy(table).to(reward.device) for table in found)
        return UpperTables(in_reward=residuals, in_policy=losses)

    def reached(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
        discount: float,
    ) -> Float[Tensor, "replicate s a"]:
        """Return the mean loss of pairs per (s, a) through which their first segment was reached."""
        streams, arguments = self._source.reached_pairs, self._arguments(reward, log_policy)
        found = simulated_reached(streams, *(*arguments, samples, discount))
        return torch.from_numpy(found).to(reward.device)

    def _arguments(self, reward: Tensor, log_policy: Tensor) -> tuple[Any, ...]:
        objective = self._objective
        return (
            self.moves,
            as_array(objective.start(log_policy)),
            as_array(log_policy.exp()),
            as_array(reward),
            self._true_reward,
            objective.law.compiled,
            objective.excess,
            objective.discounts,
        )


class SimulatedComparisons(TableEstimates):
    """What both versions draw step by step in the same way.

    Parameters
    ----------
    objective
        What is compared, and its control.
    source
        Streams and counters.
    """

    def __init__(self, objective: CharacteristicSums, source: SampleSource) -> None:
        super().__init__(objective.control)
        self.source = source
        self._objective = objective
        self._pairs = SimulatedPairs(objective, source)

    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return residuals times visits, and losses times the score of both members' steps."""
        costs = self.source.costs
        self._require_affordable(
            samples, costs.pair_steps, costs.pair_trajectories + costs.pair_labels
        )
        self.source.count_pairs(log_policy, samples)
        return self._pairs.tables(reward, log_policy, samples)

    def preference_gradient(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Return residuals of labelled pairs times visits."""
        self._require_affordable(samples, self.source.costs.comparison_steps, 3)
        self.source.count_comparisons(log_policy, samples)
        return self._pairs.tables(reward, log_policy, samples).in_reward

    def later_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Follow rollouts on from weighted steps and return their visits."""
        return sampled_later_visits(self.source, self.control, log_policy, weights, rollouts)

    def _require_affordable(self, samples: int, steps: int | float, counted: int) -> None:
        """Refuse a batch whose steps take too long, unless the budget ends before it is drawn."""
        if self.source.outlasts(samples, steps, counted, STEP_BUDGET):
            raise InvalidArgumentError(
                "samples",
                f"{samples} in a batch, {steps:.3g} expected steps each, followed one by one",
                f"pass at most {int(STEP_BUDGET / steps)}: there are too many trajectories to count; "
                "or a shorter horizon, a larger enumeration_budget, or a sample_budget that ends before",
            )


class SimulatedEpisodic(SimulatedComparisons):
    """Whole trajectories and labelled pairs of them."""

    def lower_scores(
        self,
        reward: Float[Tensor, "replicate s a"],
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        coupling: Coupling,
    ) -> Float[Tensor, "stacked h s a"]:
        """Return REINFORCE with reward-to-go, KL term included."""
        rewards = self.regularised_reward(reward, policies)
        if coupling == "independent":
            return self._scores(policies, None, rewards, rewards, samples)[0]
        (first, second), (own, other) = policies.chunk(2), rewards.chunk(2)
        return torch.cat(self._scores(first, second, own, other, samples))

    def visit_difference(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, coupling: Coupling
    ) -> Float[Tensor, "replicate s a"]:
        """Return the difference of mean discounted visits."""
        if coupling == "independent":
            ours, theirs = self._visits(policies, None, samples)[0].chunk(2)
            return ours - theirs
        first, second = policies.chunk(2)
        return -self._visits(first, second, samples)[1]

    def _scores(
        self,
        followed: Float[Tensor, "stacked h s a"],
        wanted: Float[Tensor, "stacked h s a"] | None,
        rewards: Float[Tensor, "stacked h s a"],
        wanted_rewards: Float[Tensor, "stacked h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "stacked h s a"], Float[Tensor, "stacked h s a"]]:
        walks = self._walks(followed, wanted, samples)
        tables = as_array(rewards), as_array(wanted_rewards)
        weighed = wanted is not None
        found = simulated_scores(*(*walks, *tables, self._objective.discounts, weighed, samples))
        own, other = (torch.from_numpy(table).to(rewards.device) for table in found)
        return own, other

    def _visits(
        self,
        followed: Float[Tensor, "stacked h s a"],
        wanted: Float[Tensor, "stacked h s a"] | None,
        samples: int,
    ) -> tuple[Float[Tensor, "stacked s a"], Float[Tensor, "stacked s a"]]:
        walks = self._walks(followed, wanted, samples)
        weighed = wanted is not None
        found = simulated_visits(*(*walks, self._objective.discounts, weighed, samples))
        visits, changes = (torch.from_numpy(table).to(followed.device) for table in found)
        return visits, changes

    def _walks(self, followed: Tensor, wanted: Tensor | None, samples: int) -> tuple[Any, ...]:
        """Count rollouts; return what the kernels need to follow a policy and weigh it for another."""
        steps = self.source.costs.visit_steps
        self._require_affordable(samples, steps, followed.shape[0] // self.source.replicates)
        self.source.count_rollouts(followed, samples, steps)
        return (
            self.source.rollouts[: followed.shape[0]],
            self._pairs.moves,
            as_array(self.control.initial),
            as_array(followed.exp()),
            as_array(followed if wanted is None else wanted - followed),
        )


class SimulatedDiscounted(SampledStops, SimulatedComparisons):
    """Rollouts that stop, as with enumeration, and labelled pairs of segments step by step."""

    def upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> UpperTables:
        """Return residuals times visits, and losses times the score of both segments."""
        found, gamma = super().upper(reward, log_policy, samples), self.control.discount
        reached = self._pairs.reached(reward, log_policy, samples, gamma)
        starting = (2 * gamma / (1 - gamma)) * reached[:, None]
        return UpperTables(in_reward=found.in_reward, in_policy=found.in_policy + starting)
