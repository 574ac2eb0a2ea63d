"""Random numbers of many replicates at once, each replicate from streams of its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from theory_check.errors import InvalidArgumentError
from theory_check.problems.gradient_noise import BatchSize
from theory_check.randomness import streams

BLOCK = 4096
"""Normal numbers drawn at a time for each replicate; how many changes no number."""


class ReplicateDraws:
    """Normal and binomial numbers; what a replicate gets does not depend on those beside it.

    Parameters
    ----------
    purpose
        Name of the streams.
    seeds
        One per replicate. Replicates with one seed get the same numbers, which are drawn once.
    """

    def __init__(self, purpose: str, seeds: Sequence[int]) -> None:
        self._purpose = purpose
        self._seeds = list(dict.fromkeys(seeds))
        place = {seed: row for row, seed in enumerate(self._seeds)}
        self._rows = np.array([place[seed] for seed in seeds])
        self._repeated = len(self._seeds) < len(seeds)
        self._normal = self._generators(purpose)
        # Numbers lead, so that those of one draw lie together.
        self._block: NDArray[np.float64] = np.empty((0, len(self._seeds)))
        self._used = 0

    @cached_property
    def _counts(self) -> list[np.random.Generator]:
        return self._generators(f"{self._purpose}, counts")

    def _generators(self, purpose: str) -> list[np.random.Generator]:
        return streams(purpose, self._seeds)

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return len(self._rows)

    def normal(self, count: int) -> Float[np.ndarray, "replicate count"]:
        """Return the next ``count`` standard normal numbers of each replicate."""
        found, rows = self.normal_by_stream(count)
        return found.T[rows] if self._repeated else found.T

    def normal_by_stream(
        self, count: int
    ) -> tuple[Float[np.ndarray, "count stream"], Int[np.ndarray, " replicate"]]:
        """Return the same once for each distinct seed, and which of them a replicate has."""
        if self._used + count > len(self._block):
            fresh = [generator.standard_normal(max(BLOCK, count)) for generator in self._normal]
            new = np.stack(fresh, axis=1)
            self._block = np.concatenate([self._block[self._used :], new])
            self._used = 0
        found = self._block[self._used : self._used + count]
        self._used += count
        return found, self._rows

    def binomial(self, samples: BatchSize, probability: float) -> Float[np.ndarray, " replicate"]:
        """Return the number of successes among ``samples`` trials of each replicate."""
        if self._repeated:
            raise InvalidArgumentError(
                "seeds", "repeated", "pass distinct ones: counts are drawn for each replicate"
            )
        sizes = np.broadcast_to(samples, len(self._counts))
        return np.array(
            [
                float(generator.binomial(size, probability))
                for generator, size in zip(self._counts, sizes, strict=True)
            ]
        )
