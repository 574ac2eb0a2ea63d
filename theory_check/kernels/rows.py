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
    """

    bounds: NDArray[np.int64]
    columns: NDArray[np.int64]
    chances: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> Rows:
        """Return those of a matrix of shape (s * a, s)."""
        return cls(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data)
