"""Estimates from samples, each counted where it is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.kernels.bradley_terry import LabelLaw, label_law
from theory_check.kernels.draws import labelled_pair_sums, trajectory_frequencies
from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.reached_pairs import reached_pair_losses
from theory_check.kernels.rollouts import first_stop_changes, two_leg_sums
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.counts import SampleCounter, stream_entropy
from theory_check.oracles.estimates.discounted_estimates import DiscountedEstimates, SegmentPairs
from theory_check.oracles.estimates.episodic_estimates import EpisodicEstimates
from theory_check.oracles.estimates.sample_costs import SampleCosts
from theory_check.oracles.estimates.stopped_rollouts import StoppedRollouts

SHARED_STEP_BUDGET = 10**9
"""Expected environment steps of one shared batch of a replicate: about ten seconds of one core."""

OUTCOME_BYTES = 256 * 2**20
"""Memory for the law of where rollouts of two legs stop, (S A)^2 numbers for every policy."""


class SampleSource:
    """Streams, labels and counters that estimates draw from.

    Parameters
    ----------
    comparisons
        What the problem compares.
    true_reward
        ``r*``, which labels follow, shape (s, a).
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
    labels
        The annotator's law.
    rollouts
        Generator states for the rollouts of both policies, shape (2 * replicate, 4).
    pairs, reached_pairs
        Generator states for labelled pairs, and for those that start from a credited step, shape
        (replicate, 4).
    """

    def __init__(
        self,
        comparisons: Comparisons,
        true_reward: Float[Tensor, "s a"],
        excess: bool,
        costs: SampleCosts,
        seeds: Sequence[int],
        sample_budget: int | None,
    ) -> None:
        self.replicates = len(seeds)
        self.counter = SampleCounter(sample_budget)
        self.costs = costs
        self.excess = excess
        true_returns = comparisons.space.returns(true_reward[None])[0]
        self.labels: LabelLaw = label_law(_array(true_returns))
        self.rollouts = np.concatenate(
            [
                _streams(purpose, seeds)
                for purpose in ("trajectories", "trajectories of the penalised policy")
            ]
        )
        self.pairs = _streams("labelled pairs", seeds)
        self.reached_pairs = _streams("labelled pairs from a credited step", seeds)

    def count_rollouts(
        self, policies: Float[Tensor, "stacked h s a"], samples: int, steps: int | float
    ) -> None:
        """Count a batch of rollouts of every stacked policy, before they are drawn."""
        self._require_rows(policies, stacked=True)
        number = policies.shape[0] // self.replicates * samples
        self.counter.add(trajectories=number, labels=0, env_steps=number * steps)

    def count_pairs(self, log_policy: Float[Tensor, "replicate h s a"], samples: int) -> None:
        """Count a batch of labelled pairs of a policy, before they are drawn."""
        self._require_rows(log_policy, stacked=False)
        self.counter.add(
            trajectories=self.costs.pair_trajectories * samples,
            labels=self.costs.pair_labels * samples,
            env_steps=self.costs.pair_steps * samples,
        )

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
        drawn = trajectory_frequencies(streams, _array(law), samples)
        return torch.from_numpy(drawn).to(law.device)

    def pair_sums(
        self,
        law: Float[Tensor, "replicate trajectory"],
        returns: Float[Tensor, "replicate trajectory"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        """Draw labelled pairs; returns (losses, residuals). Counted by the caller."""
        losses, residuals = labelled_pair_sums(
            self.pairs, _array(law), _array(returns), self.labels, samples, self.excess
        )
        return torch.from_numpy(losses).to(law.device), torch.from_numpy(residuals).to(law.device)


class SampledEpisodic(EpisodicEstimates):
    """Trajectories and labelled pairs, drawn from a :class:`SampleSource`."""

    def __init__(
        self, control: SoftControl, comparisons: Comparisons, source: SampleSource
    ) -> None:
        super().__init__(control, comparisons)
        self._source = source

    def _trajectory_weights(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked trajectory"]:
        self._source.count_rollouts(policies, samples, self._source.costs.visit_steps)
        return self._source.frequencies(self.comparisons.probabilities(policies), samples)

    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        self._source.count_pairs(log_policy, samples)
        law = self.comparisons.probabilities(log_policy)
        return self._source.pair_sums(law, self.space.returns(reward), samples)


class SampledDiscounted(DiscountedEstimates):
    """Stopped rollouts and labelled pairs of segments, drawn from a :class:`SampleSource`."""

    def __init__(
        self,
        control: DiscountedControl,
        comparisons: DiscountedComparisons,
        source: SampleSource,
    ) -> None:
        super().__init__(control, comparisons)
        self._source = source
        self._first_state = _array(self.space.states[:, 0])
        self._transitions = _array(control.transitions)
        self._initial = _array(control.initial)

    def _first_stops(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked s a"]:
        self._source.count_rollouts(policies, samples, self._source.costs.visit_steps)
        law = StoppedRollouts(self.control, policies[:, 0].exp()).first_stops
        return self._source.frequencies(law.flatten(1), samples).reshape(law.shape)

    def _first_stop_changes(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        steps = self._source.costs.visit_steps
        _require_affordable(samples, steps)
        self._source.count_rollouts(drawn_from, samples, steps)
        found = first_stop_changes(*self._walks(drawn_from, wanted), samples)
        return torch.from_numpy(found).to(drawn_from.device)

    def _two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        steps = self._source.costs.score_steps
        self._source.count_rollouts(policies, samples, steps)
        outcomes = values[0].numel() ** 2
        if samples * steps < outcomes:  # walking is then cheaper than tabulating where walks end
            followed, _ = two_leg_sums(
                *self._walks(policies, policies), samples, _array(values), _array(values)
            )
            return torch.from_numpy(followed).to(policies.device)
        sums = torch.empty_like(values)
        together = max(1, OUTCOME_BYTES // (8 * outcomes))
        for first in range(0, policies.shape[0], together):
            rows = slice(first, first + together)
            law = StoppedRollouts(self.control, policies[rows, 0].exp()).two_stops
            drawn = self._source.frequencies(law.flatten(1), samples, rows).reshape(law.shape)
            sums[rows] = (drawn @ values[rows].flatten(1)[:, :, None]).reshape(sums[rows].shape)
        return sums

    def _shared_two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        steps = self._source.costs.score_steps
        _require_affordable(samples, steps)
        first, second = policies.chunk(2)
        self._source.count_rollouts(first, samples, steps)
        followed, wanted = two_leg_sums(
            *self._walks(first, second), samples, *(_array(v) for v in values.chunk(2))
        )
        return torch.from_numpy(np.concatenate([followed, wanted])).to(policies.device)

    def _segment_pairs(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> SegmentPairs:
        space, source = self.space, self._source
        source.count_pairs(log_policy, samples)
        rollouts = StoppedRollouts(self.control, log_policy[:, 0].exp())
        continuation = space.probabilities(log_policy)
        law = rollouts.states[:, space.states[:, 0]] * continuation
        returns = space.returns(reward)
        losses, residuals = source.pair_sums(law, returns, samples)
        reaching = rollouts.first_stops[..., None] * rollouts.arrivals
        reached = reached_pair_losses(
            source.reached_pairs,
            _array(reaching.flatten(1, 2).mT),
            _array(continuation),
            _array(law),
            self._first_state,
            _array(returns),
            source.labels,
            samples,
            source.excess,
        )
        return SegmentPairs(
            losses=losses,
            residuals=residuals,
            reached=torch.from_numpy(reached).to(law.device).reshape(reward.shape),
        )

    def _walks(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
    ) -> tuple[NDArray[np.uint64], NDArray, NDArray, NDArray, NDArray, float]:
        """Return what the kernels need to follow a policy and weigh it for another."""
        return (
            self._source.rollouts[: drawn_from.shape[0]],
            _array(drawn_from[:, 0].exp()),
            _array((wanted - drawn_from)[:, 0]),
            self._transitions,
            self._initial,
            self.control.discount,
        )


def _require_affordable(samples: int, steps: int | float) -> None:
    if samples * steps > SHARED_STEP_BUDGET:
        raise InvalidArgumentError(
            "trajectories",
            f"{samples} with shared batches, {steps:.3g} expected steps each",
            f"pass at most {int(SHARED_STEP_BUDGET / steps)}: importance weights depend on the "
            "whole path, so shared batches are simulated step by step; or use coupling = "
            '"independent", whose cost does not grow with the batch',
        )


def _streams(purpose: str, seeds: Sequence[int]) -> NDArray[np.uint64]:
    return seeded_states([stream_entropy(purpose, seed) for seed in seeds])


def _array(values: Tensor) -> NDArray:
    return np.ascontiguousarray(values.cpu().numpy())
