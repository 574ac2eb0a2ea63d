"""The stationarity of every outer iteration of a run, which the ergodic mean is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from theory_check.bilevel import BilevelOracle, BilevelTruth
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
    until: Callable[[Float[np.ndarray, " replicate"], int], bool] = lambda total, done: False,
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
    stationarity = np.full((state.upper.shape[0], iterations), np.inf)
    total = np.zeros(state.upper.shape[0])
    alive = torch.ones(state.upper.shape[0], dtype=torch.bool)
    for iteration in range(iterations):
        state = solver.step(oracle, state)
        alive &= torch.isfinite(state.upper).all(-1) & torch.isfinite(state.estimate).all(-1)
        if not bool(alive.any()):
            break
        gradient = truth.hypergradient(state.upper[alive])
        stationarity[alive.numpy(), iteration] = gradient.square().sum(-1).numpy()
        if progress is not None:
            progress(iteration + 1, iterations)
        total += stationarity[:, iteration]
        if until(total, iteration + 1):
            return History(stationarity[:, : iteration + 1], state)
    return History(stationarity, state)
