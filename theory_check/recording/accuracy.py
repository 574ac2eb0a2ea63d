"""The two accuracies of a run, as it goes, and the samples after which it was good enough.

*Ergodic* is the mean of the exact ``‖∇Phi‖²`` over all iterations so far, what theorems bound. *Half* is
the mean over the second half of them, what a user gets who stops now (``docs/theory.md`` section 5.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import BilevelTruth, SolverState
from theory_check.oracles.estimates.counts import SampleCounts

WINDOW = 0.5
"""The half accuracy after t iterations is the mean over those beyond ``t / 2``."""


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


class AccuracyRecorder:
    """Mean of ``‖∇Phi‖²`` over the second half of a run so far, and when it first met a target.

    A mean over recorded iterates, not the smallest of them: noise must not be mistaken for accuracy.
    The ergodic mean of the stated rates bounds it up to a factor 2 (``docs/theory.md`` section 7.1).

    Parameters
    ----------
    truth
        What is exactly known of the problem.
    seeds
        Seeds of the replicates.
    grid
        Iterations at which the exact gradient is evaluated.
    epsilon
        The target, squared norm.
    stop_when_reached
        Whether the run may end when every replicate that still runs has met the target.

    Attributes
    ----------
    reached_after, iterations
        Counts and iteration at which each replicate met the target; None, and 0, before.
    accuracy
        Latest accuracy of each replicate, NaN before the first recorded iteration.
    status
        ``"ok"``, or why a replicate stopped.
    last
        Latest state, and latest counts.
    """

    def __init__(
        self,
        truth: BilevelTruth,
        seeds: Sequence[int],
        grid: frozenset[int],
        epsilon: float,
        *,
        stop_when_reached: bool,
    ) -> None:
        self._truth = truth
        self._grid = grid
        self._epsilon = epsilon
        self._stop_when_reached = stop_when_reached
        self._times: list[int] = []
        self._values: list[Float[np.ndarray, " replicate"]] = []
        self.reached_after: list[SampleCounts | None] = [None] * len(seeds)
        self.iterations = np.zeros(len(seeds), dtype=np.int64)
        self.accuracy = np.full(len(seeds), np.nan)
        self.status = ["ok"] * len(seeds)
        self.last: tuple[int, SolverState, SampleCounts] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to see."""
        waiting = (
            found is None and status == "ok"
            for found, status in zip(self.reached_after, self.status, strict=True)
        )
        return self._stop_when_reached and not any(waiting)

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Look at the replicates ``active`` after an iteration."""
        self.last = (iteration, state, counts)
        if iteration in self._grid:
            self.record(iteration, state, counts, active)

    def record(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Evaluate the exact gradient, unless the iteration is known already."""
        if not len(active) or iteration <= (self._times[-1] if self._times else 0):
            return
        self.last = (iteration, state, counts)
        values = np.full(len(self.accuracy), np.nan)
        gradient = self._truth.hypergradient(state.upper[active])
        values[active.numpy()] = gradient.square().sum(-1).cpu().numpy()
        self._times.append(iteration)
        self._values.append(values)
        self.accuracy = self._window_mean(iteration)
        for replicate in np.flatnonzero(self.accuracy <= self._epsilon):
            if self.reached_after[replicate] is None:
                self.reached_after[replicate] = counts
                self.iterations[replicate] = iteration

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Note why replicates stopped."""
        for replicate in stopped.tolist():
            self.status[replicate] = status

    def _window_mean(self, iteration: int) -> NDArray[np.float64]:
        recent = [
            value
            for time, value in zip(self._times, self._values, strict=True)
            if time > WINDOW * iteration
        ]
        mean: NDArray[np.float64] = np.mean(recent, axis=0)
        return mean
