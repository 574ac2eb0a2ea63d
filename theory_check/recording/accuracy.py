"""The two accuracies of a run, as it goes, and the samples after which it was good enough.

*Ergodic* is the mean of the exact ``‖∇Phi‖²`` over all iterations so far, what theorems bound. *Half* is
the mean over the second half of them, what a user gets who stops now (``docs/theory.md`` section 5.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.oracles.estimates.counts import SampleCounts

WINDOW = 0.5
"""The half accuracy after t iterations is the mean over those beyond ``t / 2``."""

BURST = 1e100
"""A run with a larger squared gradient counts as diverged: sums of them would overflow."""

KEPT = 1.5
"""A target counts as reached where it is kept until this many times the iterations,"""

KEPT_AT_LEAST = 8
"""and for at least so many more: two iterations are passed through by chance."""

CHECKED = 1.02
"""Ratio of the iterations at which accuracies are looked at: costs are resolved to this factor."""


def kept(
    iterations: NDArray[np.float64], looked: NDArray[np.float64] | float | int
) -> NDArray[np.bool_]:
    """Return whether targets that were met at some iterations, and since then, count as reached.

    Parameters
    ----------
    iterations
        When they were met, infinite where they are not.
    looked
        Iterations that have been looked at.
    """
    enough: NDArray[np.bool_] = until_kept(iterations) <= looked
    return enough


def until_kept(iterations: Any) -> Any:
    """Return the iteration up to which a target has to be kept that is met at ``iterations``."""
    return np.maximum(KEPT * iterations, iterations + KEPT_AT_LEAST)


class RunningMeans:
    """Both accuracies of every replicate, from ``‖∇Phi‖²`` at every iteration.

    Parameters
    ----------
    replicates
        Number of replicates.

    Attributes
    ----------
    iterations
        How many iterations have been added.
    """

    def __init__(self, replicates: int) -> None:
        self._sum = np.zeros(replicates)
        self._values = np.empty((64, replicates))
        self.iterations = 0

    def add(self, values: Float[np.ndarray, " replicate"]) -> None:
        """Add ``‖∇Phi‖²`` of the next iteration; NaN for replicates that have stopped."""
        if self.iterations == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self.iterations] = values
        self.iterations += 1
        self._sum += values

    def ergodic(self) -> Float[np.ndarray, " replicate"]:
        """Return the mean over all iterations so far."""
        return self._sum / self.iterations

    def half(self) -> Float[np.ndarray, " replicate"]:
        """Return the mean over the second half of the iterations so far.

        Added up anew: a difference of sums over the whole run would lose gradients that are small by now.
        """
        second = self._values[int(WINDOW * self.iterations) : self.iterations]
        mean: NDArray[np.float64] = np.mean(second, axis=0)
        return mean


class RunArrivals:
    """When the half accuracy of each run met a target and was kept.

    Looked at 2 % apart (``CHECKED``). An arrival is confirmed where the target is kept until ``KEPT``
    times its iterations (``docs/theory.md`` section 5.12).

    Parameters
    ----------
    runs
        Number of runs.
    target
        What the accuracy has to be at most.

    Attributes
    ----------
    iterations
        At which each run met the target and has kept it so far, infinite where it has not.
    latest
        Accuracy of each run when it was last looked at.
    """

    def __init__(self, runs: int, target: float) -> None:
        self._target = target
        self._means = RunningMeans(runs)
        self.iterations = np.full(runs, np.inf)
        self.latest = np.full(runs, np.inf)
        self._counts: list[SampleCounts | None] = [None] * runs
        self._looked, self._next = 0, 1

    @property
    def confirmed(self) -> NDArray[np.bool_]:
        """Runs that have kept the target for long enough; what comes later does not change it."""
        return kept(self.iterations, self._looked)

    @property
    def met_after(self) -> tuple[SampleCounts | None, ...]:
        """What each run had drawn when it met the target that it keeps, confirmed or not."""
        return tuple(self._counts)

    def add(
        self, values: Float[np.ndarray, "iteration replicate"], counts: Sequence[SampleCounts]
    ) -> None:
        """Add the values of the next iterations, and what a replicate had drawn after each."""
        for row, drawn in zip(values, counts, strict=True):
            # Sums over diverged runs would overflow.
            self._means.add(np.where(np.abs(row) <= BURST, row, np.inf))
            if self._means.iterations >= self._next:
                self._look(drawn)

    def _look(self, drawn: SampleCounts) -> None:
        iteration = self._means.iterations
        self._next = max(iteration + 1, int(CHECKED * iteration))
        self.latest = self._means.half()
        still_open = ~self.confirmed
        met = self.latest <= self._target
        for run in np.flatnonzero(still_open & met & np.isinf(self.iterations)):
            self.iterations[run], self._counts[run] = iteration, drawn
        for run in np.flatnonzero(still_open & ~met):
            self.iterations[run], self._counts[run] = np.inf, None
        self._looked = iteration
