"""The rows of a sparse transition kernel, as compiled loops take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Rows(NamedTuple):
    """Possible successors of every pair of state and action, and their probabilities.

    Attributes
    ----------
    bounds, columns, chances
        Those of the pair i are ``columns[bounds[i]:bounds[i + 1]]``, in increasing order.
    conditional
        The chance of each given none of the same pair before it; 1 for the last.
    """

    bounds: NDArray[np.int64]
    columns: NDArray[np.int64]
    chances: NDArray[np.float64]
    conditional: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Rows:
        """Return those of a matrix of shape (s * a, s)."""
        bounds = matrix.indptr.astype(np.int64)
        conditional = _conditional(bounds, matrix.data)
        return cls(bounds, matrix.indices.astype(np.int64), matrix.data, conditional)


def _conditional(bounds: NDArray[np.int64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each entry given none before it, of all pairs at a time."""
    first, width = bounds[:-1], np.diff(bounds)
    conditional, remaining = np.ones(chances.size), np.ones(width.size)
    for move in range(int(width.max(initial=0)) - 1):
        going_on = np.flatnonzero(width > move + 1)
        entry = first[going_on] + move
        conditional[entry] = chances[entry] / remaining[going_on]
        remaining[going_on] -= chances[entry]
    return conditional
