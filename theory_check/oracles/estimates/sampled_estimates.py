"""Estimates from samples, each counted where it is drawn."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import LARGEST_TABLE, InvalidArgumentError
from theory_check.kernels.draws import DRAWS_PER_OUTCOME
from theory_check.kernels.reached_pairs import reached_pair_losses
from theory_check.kernels.rollouts import first_stop_changes, two_leg_sums
from theory_check.kernels.rows import Rows
from theory_check.kernels.stopped_legs import two_stop_means
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.estimates.discounted_estimates import (
    DiscountedEstimates,
    SegmentPairs,
    StoppedEstimates,
    StoppedRollouts,
)
from theory_check.oracles.estimates.episodic_estimates import EpisodicEstimates
from theory_check.oracles.estimates.kernel_inputs import as_array
from theory_check.oracles.estimates.sample_source import (
    SampleSource,
    sampled_later_visits,
)
from theory_check.oracles.estimates.table_estimates import EnumeratedEstimates, winner_law
from theory_check.problems.dynamics import SparseDynamics

SHARED_STEP_BUDGET = 10**9
"""Expected environment steps of one shared batch of a replicate: about ten seconds of one core."""

OUTCOME_BYTES = 256 * 2**20
"""Memory for the law of where rollouts of two legs stop, (S A)^2 numbers for every policy."""


class SampledComparisons(EnumeratedEstimates):
    """What sampled estimates of both versions share, drawn from a :class:`SampleSource`.

    Attributes
    ----------
    source
        Streams, labels and counters.
    """

    source: SampleSource

    def comparison_residuals(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate trajectory"]:
        """Draw labelled pairs, whose law is not differentiated, and return their residuals."""
        self.source.count_comparisons(log_policy, samples)
        law = self.comparisons.probabilities(log_policy)
        return self.source.pair_sums(law, returns, samples)[1]

    def comparison_frequencies(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        opponent: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate winner loser"]:
        """Draw labelled pairs and return how often each trajectory won against each other."""
        self.source.count_comparisons(log_policy, samples)
        law = self.comparisons.probabilities(log_policy)
        other = law if opponent is log_policy else self.comparisons.probabilities(opponent)
        return self.source.pairs_drawn(winner_law(law, other, self.source.preferred), samples)

    def later_visits(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate h s a"],
        rollouts: int,
    ) -> Float[Tensor, "replicate s a"]:
        """Follow rollouts on from weighted steps and return their visits."""
        return sampled_later_visits(self.source, self.control, log_policy, weights, rollouts)


class SampledEpisodic(SampledComparisons, EpisodicEstimates):
    """Trajectories and labelled pairs, drawn from a :class:`SampleSource`."""

    def __init__(
        self, control: SoftControl, comparisons: Comparisons, source: SampleSource
    ) -> None:
        super().__init__(control, comparisons)
        self.source = source

    def _trajectory_weights(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked trajectory"]:
        self.source.count_rollouts(policies, samples, self.source.costs.visit_steps)
        return self.source.frequencies(self.comparisons.probabilities(policies), samples)

    def _weights_of_returns(
        self,
        returns: Float[Tensor, "replicate trajectory"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        self.source.count_pairs(log_policy, samples)
        law = self.comparisons.probabilities(log_policy)
        return self.source.pair_sums(law, returns, samples)


class SampledStops(StoppedEstimates):
    """Rollouts that stop, drawn from a :class:`SampleSource`."""

    source: SampleSource

    def _first_stops(
        self, policies: Float[Tensor, "stacked h s a"], samples: int
    ) -> Float[Tensor, "stacked s a"]:
        self.source.count_rollouts(policies, samples, self.source.costs.visit_steps)
        law = StoppedRollouts(self.control, policies[:, 0].exp()).first_stops
        return self.source.frequencies(law.flatten(1), samples).reshape(law.shape)

    def _first_stop_changes(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> Float[Tensor, "replicate s a"]:
        steps = self.source.costs.visit_steps
        self._require_walks(drawn_from, samples, steps)
        self.source.count_rollouts(drawn_from, samples, steps)
        found = first_stop_changes(*self._walks(drawn_from, wanted), samples)
        return torch.from_numpy(found).to(drawn_from.device)

    def _two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        steps = self.source.costs.score_steps
        outcomes = values[0].numel() ** 2
        sparse = isinstance(self.control.dynamics, SparseDynamics)
        untabulated = sparse and outcomes > LARGEST_TABLE
        if untabulated:
            self._require_walks(policies, samples, steps, sparse=True)
        self.source.count_rollouts(policies, samples, steps)
        # Walking is then cheaper than tabulating where walks end, or the table has no place.
        if untabulated or samples * steps < outcomes:
            followed, _ = two_leg_sums(
                *self._walks(policies, policies), samples, as_array(values), as_array(values)
            )
            return torch.from_numpy(followed).to(policies.device)
        if samples <= DRAWS_PER_OUTCOME * outcomes:  # tabulating would cost more than drawing
            return self._second_stops(policies, values, samples)
        sums = torch.empty_like(values)
        together = max(1, OUTCOME_BYTES // (8 * outcomes))
        for first in range(0, policies.shape[0], together):
            rows = slice(first, first + together)
            law = StoppedRollouts(self.control, policies[rows, 0].exp()).two_stops
            drawn = self.source.frequencies(law.flatten(1), samples, rows).reshape(law.shape)
            sums[rows] = (drawn @ values[rows].flatten(1)[:, :, None]).reshape(sums[rows].shape)
        return sums

    def _second_stops(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        """Draw one leg after the other, from the law of its stop."""
        taken = policies[:, 0].exp()
        rollouts = StoppedRollouts(self.control, taken)
        means = two_stop_means(
            self.source.rollouts[: policies.shape[0]],
            as_array(taken.flatten(1)),
            as_array(rollouts.first_stops.flatten(1)),
            as_array(rollouts.stops_from),
            self.control.dynamics.rows,
            self.control.discount,
            samples,
            as_array(values.flatten(1)),
        )
        return torch.from_numpy(means).to(values.device).reshape(values.shape)

    def _shared_two_legs(
        self,
        policies: Float[Tensor, "stacked h s a"],
        values: Float[Tensor, "stacked s a"],
        samples: int,
    ) -> Float[Tensor, "stacked s a"]:
        steps = self.source.costs.score_steps
        first, second = policies.chunk(2)
        self._require_walks(first, samples, steps)
        self.source.count_rollouts(first, samples, steps)
        followed, wanted = two_leg_sums(
            *self._walks(first, second), samples, *(as_array(v) for v in values.chunk(2))
        )
        return torch.from_numpy(np.concatenate([followed, wanted])).to(policies.device)

    def _require_walks(
        self,
        policies: Float[Tensor, "stacked h s a"],
        samples: int,
        steps: int | float,
        *,
        sparse: bool = False,
    ) -> None:
        """Refuse walks that take too long; ``sparse`` says why independent batches walk."""
        counted = policies.shape[0] // self.source.replicates
        if not self.source.outlasts(samples, steps, counted, SHARED_STEP_BUDGET):
            return
        batch, reason = (
            "shared batches",
            "importance weights depend on the whole path, so shared batches are simulated step by step; "
            'or use coupling = "independent", whose cost does not grow with the batch',
        )
        if sparse:
            batch, reason = (
                "a sparse kernel",
                "where rollouts of so many states stop is not tabulated, so that they are simulated "
                "step by step",
            )
        raise InvalidArgumentError(
            "trajectories",
            f"{samples} with {batch}, {steps:.3g} expected steps each",
            f"pass at most {int(SHARED_STEP_BUDGET / steps)}: {reason}",
        )

    def _walks(
        self,
        drawn_from: Float[Tensor, "replicate h s a"],
        wanted: Float[Tensor, "replicate h s a"],
    ) -> tuple[NDArray[np.uint64], NDArray, NDArray, Rows, NDArray, float]:
        """Return what the kernels need to follow a policy and weigh it for another."""
        return (
            self.source.rollouts[: drawn_from.shape[0]],
            as_array(drawn_from[:, 0].exp()),
            as_array((wanted - drawn_from)[:, 0]),
            self.control.dynamics.rows,
            self._initial,
            self.control.discount,
        )

    @cached_property
    def _initial(self) -> NDArray[np.float64]:
        return as_array(self.control.initial)


class SampledDiscounted(SampledStops, SampledComparisons, DiscountedEstimates):
    """Stopped rollouts and labelled pairs of segments, drawn from a :class:`SampleSource`."""

    def __init__(
        self,
        control: DiscountedControl,
        comparisons: DiscountedComparisons,
        source: SampleSource,
    ) -> None:
        super().__init__(control, comparisons)
        self.source = source
        self._first_state = as_array(self.space.states[:, 0])

    def _segment_pairs(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> SegmentPairs:
        space, source = self.space, self.source
        source.count_pairs(log_policy, samples)
        rollouts = StoppedRollouts(self.control, log_policy[:, 0].exp())
        continuation = space.probabilities(log_policy)
        law = rollouts.states[:, space.states[:, 0]] * continuation
        returns = space.returns(reward)
        losses, residuals = source.pair_sums(law, returns, samples)
        reached = reached_pair_losses(
            source.reached_pairs,
            as_array(rollouts.first_stops.flatten(1)),
            as_array(rollouts.stops_from),
            self.control.dynamics.rows,
            as_array(continuation),
            as_array(law),
            self._first_state,
            as_array(returns),
            source.labels,
            samples,
            source.excess,
        )
        return SegmentPairs(
            losses=losses,
            residuals=residuals,
            reached=torch.from_numpy(reached).to(law.device).reshape(reward.shape),
        )
