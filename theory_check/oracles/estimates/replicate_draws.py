"""Random numbers of many replicates at once, each replicate from streams of its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.oracles.estimates.counts import stream_entropy

BLOCK = 4096
"""Normal numbers drawn at a time for each replicate; how many changes no number."""


class ReplicateDraws:
    """Normal and binomial numbers; what a replicate gets does not depend on those beside it.

    Parameters
    ----------
    purpose
        Name of the streams.
    seeds
        One per replicate.
    """

    def __init__(self, purpose: str, seeds: Sequence[int]) -> None:
        self._purpose, self._seeds = purpose, seeds
        self._normal = self._generators(purpose)
        self._block: NDArray[np.float64] = np.empty((len(seeds), 0))
        self._used = 0

    @cached_property
    def _counts(self) -> list[np.random.Generator]:
        return self._generators(f"{self._purpose}, counts")

    def _generators(self, purpose: str) -> list[np.random.Generator]:
        return [np.random.default_rng(stream_entropy(purpose, seed)) for seed in self._seeds]

    def normal(self, count: int) -> Float[np.ndarray, "replicate count"]:
        """Return the next ``count`` standard normal numbers of each replicate."""
        if self._used + count > self._block.shape[1]:
            fresh = [generator.standard_normal(max(BLOCK, count)) for generator in self._normal]
            self._block = np.concatenate([self._block[:, self._used :], np.stack(fresh)], axis=1)
            self._used = 0
        found = self._block[:, self._used : self._used + count]
        self._used += count
        return found

    def binomial(self, samples: int, probability: float) -> Float[np.ndarray, " replicate"]:
        """Return the number of successes among ``samples`` trials of each replicate."""
        return np.array(
            [float(generator.binomial(samples, probability)) for generator in self._counts]
        )
