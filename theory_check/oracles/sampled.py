"""The only door to data: rollouts, preference labels, and the counters of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.kernels.draws import (
    label_law,
    labelled_pair_sums,
    trajectory_frequencies,
)
from theory_check.kernels.random_bits import seeded_states
from theory_check.oracles.bilevel import RLHFOracle
from theory_check.oracles.counts import SampleCounter, SampleCounts, stream_entropy
from theory_check.problems import Problem


class SampledOracle(RLHFOracle):
    """Sampled gradients of both levels, with every sample counted where it is drawn.

    Parameters
    ----------
    problem
        An episodic problem.
    seeds
        One seed per replicate; a replicate's draws depend on its own seed alone.
    sample_budget
        Largest number of samples (trajectories plus labels) a replicate may draw; None for no
        limit.
    **options
        As for :class:`RLHFOracle`.

    Raises
    ------
    SampleBudgetExhausted
        From any gradient that would exceed the budget, before it draws.
    """

    def __init__(
        self,
        problem: Problem,
        seeds: Sequence[int],
        *,
        sample_budget: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(problem, **options)
        if len(seeds) == 0 or len(set(seeds)) != len(seeds):
            raise InvalidArgumentError("seeds", list(seeds), "pass distinct seeds, at least one")
        self._counter = SampleCounter(problem.horizon, sample_budget)
        self._replicates = len(seeds)
        self._trajectory_streams = np.concatenate(
            [
                seeded_states([stream_entropy(purpose, seed) for seed in seeds])
                for purpose in ("trajectories", "trajectories of the penalised policy")
            ]
        )
        self._pair_streams = seeded_states(
            [stream_entropy("labelled pairs", seed) for seed in seeds]
        )
        self._labels = label_law(np.ascontiguousarray(self.true_returns.cpu().numpy()))

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        return self._counter.counts

    def _trajectory_weights(
        self, log_policy: Float[Tensor, "replicate h s a"], samples: int
    ) -> Float[Tensor, "replicate trajectory"]:
        # Two policies stacked (lambda, then lambda') cost a replicate two batches.
        batches = log_policy.shape[0] // self._replicates
        self._counter.add(trajectories=batches * samples, labels=0)
        law = self.space.probabilities(log_policy)
        drawn = trajectory_frequencies(
            self._trajectory_streams[: law.shape[0]], law.cpu().numpy(), samples
        )
        return torch.from_numpy(drawn).to(law.device)

    def _pair_weights(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
        samples: int,
    ) -> tuple[Float[Tensor, "replicate trajectory"], Float[Tensor, "replicate trajectory"]]:
        self._counter.add(trajectories=2 * samples, labels=samples)
        law = self.space.probabilities(log_policy)
        losses, residuals = labelled_pair_sums(
            self._pair_streams,
            law.cpu().numpy(),
            self.space.returns(reward).cpu().numpy(),
            self._labels,
            samples,
            self.excess,
        )
        return torch.from_numpy(losses).to(law.device), torch.from_numpy(residuals).to(law.device)
