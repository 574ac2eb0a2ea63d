"""Streams, labels and counters that sampled estimates draw from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.kernels.bradley_terry import LabelLaw, label_law
from theory_check.kernels.continuations import continued_visits
from theory_check.kernels.draws import labelled_pair_sums, trajectory_frequencies
from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.stopped_visits import NO_ELIMINATION
from theory_check.oracles.comparisons import Comparisons
from theory_check.oracles.comparisons.upper import UpperObjective
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.counts import SampleCosts, SampleCounter
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.problems.preferences import PreferenceLaw
from theory_check.randomness import stream_entropy


class SampleSource:
    """Streams, labels and counters that estimates draw from.

    Parameters
    ----------
    comparisons
        What the problem compares.
    true_reward
        ``r*``, which labels follow, shape (s, a).
    law
        The annotator's law.
    excess
        Whether the objective is the excess risk.
    costs
        What each sample adds to the counters.
    seeds
        One per replicate.
    sample_budget
        As in :class:`~theory_check.oracles.sampled.SampledOracle`.

    Attributes
    ----------
    replicates
        Number of replicates.
    counter
        The counters.
    law
        The annotator's law.
    rollouts
        Generator states for the rollouts of both policies, shape (2 * replicate, 4).
    pairs, reached_pairs, continuations
        Generator states for labelled pairs, for those that start from a credited step, and for
        rollouts that continue from a weighted step, shape (replicate, 4).
    """

    def __init__(
        self,
        comparisons: Comparisons | UpperObjective,
        true_reward: Float[Tensor, "s a"],
        law: PreferenceLaw,
        excess: bool,
        costs: SampleCosts,
        seeds: Sequence[int],
        sample_budget: int | None,
    ) -> None:
        self.replicates = len(seeds)
        self.counter = SampleCounter(sample_budget)
        self.costs = costs
        self.excess = excess
        self.rollouts = np.concatenate(
            [
                _streams(purpose, seeds)
                for purpose in ("trajectories", "trajectories of the penalised policy")
            ]
        )
        self.pairs = _streams("labelled pairs", seeds)
        self.reached_pairs = _streams("labelled pairs from a credited step", seeds)
        self.continuations = _streams("continued trajectories", seeds)
        self._comparisons = comparisons
        self.law = law
        self._true_reward = true_reward

    @cached_property
    def labels(self) -> LabelLaw:
        """The annotator's law over enumerated trajectories."""
        return tabulated(self.law, self._true_returns)

    @cached_property
    def _true_returns(self) -> Float[Tensor, " trajectory"]:
        assert isinstance(self._comparisons, Comparisons)  # otherwise pairs are simulated
        return self._comparisons.space.returns(self._true_reward[None])[0]

    @cached_property
    def preferred(self) -> Float[Tensor, "winner loser"]:
        """``P*(i > j)`` of every two trajectories."""
        differences = self._true_returns[:, None] - self._true_returns[None, :]
        return torch.sigmoid(differences) if self.law.standard else self.law.preferred(differences)

    def true_rewards(self, pairs: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """Return ``r*`` of pairs of state and action, named by ``state * actions + action``."""
        return self._true_reward.flatten()[pairs]

    def outlasts(self, samples: int, steps: int | float, counted: int, most: int) -> bool:
        """Return whether a batch takes more than so many steps, and the budget does not end before it.

        ``counted`` is what one of its samples counts as.
        """
        return samples * steps > most and self.counter.affords(counted * samples)

    def count_rollouts(
        self, policies: Float[Tensor, "stacked ..."], samples: int, steps: int | float
    ) -> None:
        """Count a batch of rollouts of every stacked policy, before they are drawn.

        Policies are named by their tables or their parameters.
        """
        self._require_rows(policies, stacked=True)
        number = policies.shape[0] // self.replicates * samples
        self.counter.add(trajectories=number, labels=0, env_steps=number * steps)

    def count_pairs(self, log_policy: Float[Tensor, "replicate ..."], samples: int) -> None:
        """Count a batch of labelled pairs of a policy, before they are drawn."""
        self._require_rows(log_policy, stacked=False)
        self.counter.add(
            trajectories=self.costs.pair_trajectories * samples,
            labels=self.costs.pair_labels * samples,
            env_steps=self.costs.pair_steps * samples,
        )

    def count_comparisons(self, log_policy: Float[Tensor, "replicate ..."], samples: int) -> None:
        """Count labelled pairs whose law is not differentiated, before they are drawn."""
        self._require_rows(log_policy, stacked=False)
        self.counter.add(
            trajectories=2 * samples,
            labels=samples,
            env_steps=self.costs.comparison_steps * samples,
        )

    def pairs_drawn(
        self, law: Float[Tensor, "replicate winner loser"], samples: int
    ) -> Float[Tensor, "replicate winner loser"]:
        """Draw (winner, loser) pairs that follow ``law``; counted by the caller."""
        drawn = trajectory_frequencies(self.pairs, as_array(law.flatten(1)), samples)
        return torch.from_numpy(drawn).to(law.device).reshape(law.shape)

    def _require_rows(self, policies: Tensor, *, stacked: bool) -> None:
        """Refuse rows that no stream belongs to: a replicate draws from its own seed alone."""
        rows, seeds = policies.shape[0], self.replicates
        if rows != seeds and not (stacked and rows == 2 * seeds):
            raise InvalidArgumentError(
                "upper, lower",
                f"{rows} rows of policies",
                f"pass one row for each of {seeds} seeds",
            )

    def frequencies(
        self,
        law: Float[Tensor, "stacked outcome"],
        samples: int,
        rows: slice = slice(None),
    ) -> Float[Tensor, "stacked outcome"]:
        """Draw rollouts whose outcomes follow ``law``; they are counted by the caller.

        ``law`` is that of the stacked policies ``rows``, the first ones when none are named.
        """
        streams = self.rollouts[rows][: law.shape[0]]
        drawn = trajectory_frequencies(streams, as_array(law), samples)
        return torch.from_numpy(drawn).to(law.device)

    def pair_sums(
        self,
        law: Float[Tensor, "replicate trajectory"],
        returns: Float[Tensor, "replicate trajectory"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        """Draw labelled pairs; returns (losses, residuals). Counted by the caller."""
        losses, residuals = labelled_pair_sums(
            self.pairs, as_array(law), as_array(returns), self.labels, samples, self.excess
        )
        return torch.from_numpy(losses).to(law.device), torch.from_numpy(residuals).to(law.device)


def tabulated(law: PreferenceLaw, true_returns: Float[Tensor, " trajectory"]) -> LabelLaw:
    """Return the table of a law of labels at true returns."""
    returns = as_array(true_returns)
    if law.standard:
        return label_law(returns)
    each = torch.from_numpy(returns)
    rows = [law.upset((each[row] - each[row + 1 :]).abs()) for row in range(returns.size)]
    upset = torch.cat(rows)
    favourite = torch.log1p(-upset)
    # What never happens is never drawn: its odds are not asked for.
    odds = torch.where(upset > 0, favourite - upset.log(), 0.0)
    return LabelLaw(returns, upset.numpy(), favourite.numpy(), odds.numpy())


def sampled_later_visits(
    source: SampleSource,
    control: SoftControl,
    log_policy: Float[Tensor, "replicate h s a"],
    weights: Float[Tensor, "replicate h s a"],
    rollouts: int,
) -> Float[Tensor, "replicate s a"]:
    """Follow rollouts on from weighted steps and return their visits."""
    if isinstance(control, LayeredControl):
        return _visits_by_layers(source, control, log_policy, weights, rollouts)
    steps, stationary = control.policy_shape[0], isinstance(control, DiscountedControl)
    if steps == 1 and not stationary:
        return torch.zeros_like(weights[:, 0])  # nothing follows, and nothing is drawn
    source.count_rollouts(log_policy, rollouts, source.costs.score_steps)
    found = continued_visits(
        source.continuations,
        as_array(weights),
        as_array(log_policy.exp()),
        control.dynamics.rows,
        control.dynamics.elimination if stationary else NO_ELIMINATION,
        control.discount,
        stationary,
        rollouts,
    )
    return torch.from_numpy(found).to(weights.device)


def _visits_by_layers(
    source: SampleSource,
    control: LayeredControl,
    log_policy: Float[Tensor, "replicate 1 s a"],
    weights: Float[Tensor, "replicate 1 s a"],
    rollouts: int,
) -> Float[Tensor, "replicate s a"]:
    """Return the same where a state tells its step: rollouts go on until nothing follows.

    ``gamma^k`` is the discount of where a visit is over that of where the rollout started, so that
    weights are drawn in units of the latter.
    """
    if len(control.layers) == 1:
        return torch.zeros_like(weights[:, 0])
    source.count_rollouts(log_policy, rollouts, source.costs.score_steps)
    found = continued_visits(
        source.continuations,
        as_array(weights / control.discounts[:, None]),
        as_array(log_policy.exp()),
        control.onward.rows,
        NO_ELIMINATION,
        1.0,
        True,
        rollouts,
    )
    return control.discounts[:, None] * torch.from_numpy(found).to(weights.device)


def _streams(purpose: str, seeds: Sequence[int]) -> NDArray[np.uint64]:
    return _seeded(purpose, tuple(seeds)).copy()


# Searches start the same streams hundreds of times, and to seed them takes as long as an iteration.
@lru_cache(maxsize=32)
def _seeded(purpose: str, seeds: tuple[int, ...]) -> NDArray[np.uint64]:
    return seeded_states([stream_entropy(purpose, seed) for seed in seeds])
