"""The stationarity of every outer iteration of a run, which the ergodic mean is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import BilevelOracle, BilevelTruth, SolverState
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.recording.blocks import ITERATIONS, StationarityBlocks
from theory_check.recording.run import Observer, iterate
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState


@dataclass(frozen=True, eq=False)
class History:
    """What a run did.

    Attributes
    ----------
    stationarity
        ``‖∇Phi(phi_t)‖²`` for t = 1 .. T, squared norms, shape (replicate, T); infinite from the
        iteration on at which a replicate stopped being finite.
    state
        The solver's state after iteration T.
    """

    stationarity: Float[np.ndarray, "replicate t"]
    state: PenaltyState

    @property
    def ergodic(self) -> Float[np.ndarray, "replicate t"]:
        """Mean of the stationarity over iterations 1 .. t."""
        count = np.arange(1, self.stationarity.shape[1] + 1)
        mean: NDArray[np.float64] = self.stationarity.cumsum(1) / count
        return mean

    def continued(self, beyond: History) -> History:
        """Return this run and what it did afterwards as one."""
        return History(
            np.concatenate([self.stationarity, beyond.stationarity], axis=1), beyond.state
        )


def follow(
    solver: PenaltyBilevel,
    oracle: BilevelOracle,
    truth: BilevelTruth,
    state: PenaltyState,
    iterations: int,
    progress: Callable[[int, int], None] | None = None,
    until: Callable[[Float[np.ndarray, " replicate"], int], bool] | None = None,
) -> History:
    """Run ``solver`` for T more iterations and keep the stationarity of each of them.

    Parameters
    ----------
    solver
        The configured solver.
    oracle
        Sampled or exact information.
    truth
        Where the stationarity comes from; the solver does not see it.
    state
        State to start from.
    iterations
        Outer iterations T.
    progress
        Called as ``progress(done, total)`` after every iteration.
    until
        Given the sums of the stationarity and the number of iterations they are over, after every
        iteration; ends the run there by returning True.
    """
    # A rule looks at every iteration before the next one; without one they are evaluated in blocks.
    watch = _Stationarity(
        truth, state.upper.shape[0], iterations, ITERATIONS if until is None else 1
    )
    end: Any = iterate(
        solver,
        oracle,
        state,
        iterations,
        watch,
        SampleCounts,
        progress,
        lambda: until is not None and until(watch.total, watch.iteration),
    )
    watch.add_block()
    # All columns where every replicate was lost, so that none of them looks like a shorter run.
    done = watch.iteration if np.isfinite(watch.total).any() else iterations
    return History(watch.stationarity[:, :done], end)


class _Stationarity(Observer):
    """The observer that keeps ``‖∇Phi‖²`` of every iteration."""

    def __init__(
        self, truth: BilevelTruth, replicates: int, iterations: int, together: int
    ) -> None:
        self._block = StationarityBlocks(
            truth, replicates, iterations=together, missing=np.inf, uncertified=np.inf
        )
        self.stationarity = np.full((replicates, iterations), np.inf)
        self.total = np.zeros(replicates)
        self.iteration = 0

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Keep the iteration; lost replicates have what is infinite."""
        self._block.keep(state.upper, active)
        if self._block.full:
            self.add_block()

    def add_block(self) -> None:
        """Add the iterations that were kept."""
        for values in self._block.evaluate():
            self.stationarity[:, self.iteration] = values
            self.total += values
            self.iteration += 1
