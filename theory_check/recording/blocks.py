"""``‖∇Phi‖²``, or the value gap, at the iterates of a run, evaluated for many iterations in one call."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from theory_check.bilevel import BilevelTruth, SolverState, ValueTruth
from theory_check.errors import CertificationError, InvalidArgumentError

ITERATIONS = 32
"""Iterations that are evaluated together: a call costs little more for them than for one."""

ROWS = 4096
"""Iterates that are kept at most, for runs of many replicates."""


class StationarityBlocks:
    """Keeps the iterates of consecutive iterations until their exact gradients are asked for.

    Parameters
    ----------
    truth
        What is exactly known of the problem.
    replicates
        Number of replicates.
    iterations
        Iterations that are evaluated together; 1 where every value is looked at as it comes.
    missing
        Value of replicates that have stopped.
    uncertified
        Value of iterates of which rounding leaves too little, for those who try settings that nobody has
        chosen; an error where it is absent.
    """

    def __init__(
        self,
        truth: BilevelTruth,
        replicates: int,
        *,
        iterations: int = ITERATIONS,
        missing: float = np.nan,
        uncertified: float | None = None,
    ) -> None:
        self._truth = truth
        self._replicates = replicates
        self._iterations = iterations
        self._missing = missing
        self._uncertified = uncertified
        self._kept: list[tuple[Tensor, NDArray[np.int64]]] = []

    @property
    def full(self) -> bool:
        """Whether the block has to be evaluated before it can keep more."""
        most = min(self._iterations, max(1, ROWS // self._replicates))
        return len(self._kept) >= most

    def keep(self, upper: Float[Tensor, "replicate upper"], active: Int[Tensor, " active"]) -> None:
        """Keep the iterates of the replicates that still run, after one iteration."""
        rows = active.numpy()
        # Copies: a solver of somebody else's may move its iterate in place.
        self._kept.append((upper.clone() if len(rows) == upper.shape[0] else upper[active], rows))

    def evaluate(self) -> Float[np.ndarray, "iteration replicate"]:
        """Return ``‖∇Phi‖²`` of the iterations that were kept, in their order, and forget them."""
        kept, self._kept = self._kept, []
        if kept and all(len(rows) == self._replicates for _, rows in kept):
            values = self._certified(torch.cat([upper for upper, _ in kept])).cpu().numpy()
            return values.reshape(len(kept), self._replicates)
        found = np.full((len(kept), self._replicates), self._missing)
        points = [upper for upper, rows in kept if len(rows)]
        if points:
            values = self._certified(torch.cat(points)).cpu().numpy()
            iteration = np.repeat(np.arange(len(kept)), [len(rows) for _, rows in kept])
            found[iteration, np.concatenate([rows for _, rows in kept])] = values
        return found

    def points(self, state: SolverState) -> Float[Tensor, "replicate parameters"]:
        """Return what of a state the values are those of."""
        return state.upper

    def _certified(self, points: Float[Tensor, "point parameters"]) -> Float[Tensor, " point"]:
        """Return the values, and of what is not certified what stands for it, by bisection."""
        try:
            return self._values(points)
        except CertificationError:
            if self._uncertified is None:
                raise
            if len(points) == 1:
                return points.new_full((1,), self._uncertified)
        return torch.cat([self._certified(half) for half in points.chunk(2)])

    def _values(self, points: Float[Tensor, "point parameters"]) -> Float[Tensor, " point"]:
        return self._truth.hypergradient(points).square().sum(-1)


class ValueGapBlocks(StationarityBlocks):
    """The same of ``J* - J`` under the true reward, at the lower iterates.

    Parameters
    ----------
    truth
        What is exactly known of a problem with a true reward.
    replicates, missing, uncertified
        As of :class:`StationarityBlocks`.
    """

    def __init__(
        self,
        truth: BilevelTruth,
        replicates: int,
        *,
        missing: float = np.nan,
        uncertified: float | None = None,
    ) -> None:
        super().__init__(truth, replicates, missing=missing, uncertified=uncertified)
        if not isinstance(truth, ValueTruth):
            raise InvalidArgumentError(
                "accuracy", "'value gap'", "name a problem with a true reward, or 'stationarity'"
            )
        self._value_gap = truth.value_gap

    def points(self, state: SolverState) -> Float[Tensor, "replicate parameters"]:
        """Return the policies."""
        return state.lower

    def _values(self, points: Float[Tensor, "point parameters"]) -> Float[Tensor, " point"]:
        return self._value_gap(points)
