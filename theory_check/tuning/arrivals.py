"""When groups of runs meet a target and keep it, for several settings that run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import BilevelTruth, SolverState
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.randomness import stream_entropy
from theory_check.recording.accuracy import BURST, CHECKED, RunningMeans, kept
from theory_check.recording.blocks import StationarityBlocks
from theory_check.recording.run import Observer

Accuracy = Literal["half", "ergodic"]

ALLOWANCE = 1.1
"""A setting is given up when it has spent this many times what the best so far cost."""

LONGEST = 2.0
"""A setting whose pooled tuning runs have arrived goes on until all others have, or to this many times
its cost."""


class RunGroups:
    """Runs of every seed: the first half of its runs tune, the second half are reported."""

    def __init__(self, seeds: Sequence[int], runs: int) -> None:
        self.seeds = list(seeds)
        self.runs = runs

    @cached_property
    def streams(self) -> list[int]:
        """Seeds of all runs, in the order (role, seed, run)."""
        return [
            stream_entropy(f"{role} run {run}", seed) % 2**63
            for role in ("tuning", "reported")
            for seed in self.seeds
            for run in range(self.runs)
        ]

    def means(self, values: NDArray[np.float64], settings: int) -> NDArray[np.float64]:
        """Return the mean of every group: tuning and reported, shape (settings, 2, seeds)."""
        shape = (settings, 2, len(self.seeds), self.runs)
        means: NDArray[np.float64] = values.reshape(shape).mean(axis=3)
        return means


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Samples and iterations at which groups of runs met the target, infinite where they did not.

    Shapes (2, seeds): tuning, and reported.
    """

    samples: NDArray[np.float64]
    iterations: NDArray[np.float64]


class ArrivalWatch(Observer):
    """Looks at the mean accuracies of settings until each has arrived in all groups, or cannot win.

    Rows are settings; columns the groups, and last the pooled tuning runs.
    """

    def __init__(
        self,
        truth: BilevelTruth,
        groups: RunGroups,
        settings: int,
        epsilon: float,
        accuracy: Accuracy,
        margin: float,
        allowed: float,
        longest: NDArray[np.float64],
    ) -> None:
        self._groups, self._settings = groups, settings
        self._epsilon, self._accuracy = epsilon, accuracy
        self._allowed, self._longest = allowed, longest
        # Of the target, by column: tuning runs have to reach a share of it.
        seeds = len(groups.seeds)
        self._asked = np.array([margin] * seeds + [1.0] * seeds + [margin])
        replicates = settings * len(groups.streams)
        self._means = RunningMeans(replicates)
        self._block = StationarityBlocks(truth, replicates, uncertified=np.inf)
        shape = (settings, 2 * len(groups.seeds) + 1)
        # When the target was met and kept so far, and for how long that has been looked at.
        self._samples, self._iterations = np.full(shape, np.inf), np.full(shape, np.inf)
        self._last = np.zeros((settings, 1))
        self._miss = np.full(settings, np.inf)
        self._done = np.zeros(settings, dtype=bool)
        self._next = 1

    @property
    def finished(self) -> bool:
        """Whether nothing is left to see."""
        return bool(self._done.all())

    def outcomes(self) -> list[tuple[float, float, Arrivals]]:
        """Return of each setting the cost of all tuning runs, the miss, and what each group took."""
        confirmed = self._confirmed()
        shape = (-1, 2, len(self._groups.seeds))
        samples, iterations = (
            np.where(confirmed, found, np.inf) for found in (self._samples, self._iterations)
        )
        arrivals = [
            Arrivals(*both)
            for both in zip(
                samples[:, :-1].reshape(shape), iterations[:, :-1].reshape(shape), strict=True
            )
        ]
        return list(zip(samples[:, -1].tolist(), self._miss.tolist(), arrivals, strict=True))

    def _confirmed(self) -> NDArray[np.bool_]:
        return kept(self._iterations, self._last)

    def observe(
        self, iteration: int, state: SolverState, counts: SampleCounts, active: Int[Tensor, " a"]
    ) -> None:
        """Look at the accuracies; a setting of which a run diverged has lost."""
        self._block.keep(state.upper, active)
        if active.shape[0] < state.upper.shape[0]:
            self._drop(active)
        due = iteration >= self._next
        if due or self._block.full:
            squared = self._block.evaluate()
            for row in np.where(squared > BURST, np.inf, squared):
                self._means.add(row)
        if not due:
            return
        self._next = max(iteration + 1, int(CHECKED * iteration))
        values = self._means.half() if self._accuracy == "half" else self._means.ergodic()
        means = self._groups.means(values, self._settings)
        pooled = means[:, 0].mean(axis=-1, keepdims=True)
        both = np.hstack([means.reshape(len(means), -1), pooled])
        at_target = both <= self._asked * self._epsilon
        spent = np.broadcast_to(counts.samples, len(values)).reshape(len(means), -1)[:, :1]
        # A setting that is done keeps what it had: others may go on beside it.
        going = ~self._done[:, None]
        self._miss = np.where(self._done, self._miss, pooled[:, 0])
        open_ones = going & ~self._confirmed()
        self._last = np.where(going, iteration, self._last)
        new = open_ones & at_target & np.isinf(self._iterations)
        self._samples = np.where(new, spent, self._samples)
        self._iterations = np.where(new, iteration, self._iterations)
        left = open_ones & ~at_target
        self._samples[left], self._iterations[left] = np.inf, np.inf
        self._done |= self._confirmed().all(axis=1) | self._hopeless(spent[:, 0])
        self._done |= iteration >= self._longest

    def _drop(self, active: Int[Tensor, " a"]) -> None:
        runs = len(self._groups.streams)
        going = np.bincount(active.numpy() // runs, minlength=self._settings) == runs
        lost = ~going & ~self._done
        self._iterations[lost], self._miss[lost], self._done[lost] = np.inf, np.inf, True

    def _hopeless(self, spent: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which settings cannot win any more, or have been waited for long enough."""
        confirmed, cost = self._confirmed()[:, -1], self._samples[:, -1]
        allowed = min(self._allowed, float(cost[confirmed].min(initial=np.inf)))
        # A target that is met at the moment may still be confirmed, if it was met in time.
        hopeless: NDArray[np.bool_] = np.minimum(spent, cost) > ALLOWANCE * allowed
        hopeless[confirmed] |= (spent > LONGEST * cost)[confirmed]
        return hopeless
