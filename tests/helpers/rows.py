"""Rows of a table, as compiled loops take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from theory_check.kernels.rows import Rows


def rows_of(kernel: NDArray[np.float64]) -> Rows:
    """Return the rows of a kernel of shape (s, a, s)."""
    return Rows.of(sparse.csr_array(kernel.reshape(-1, kernel.shape[-1])))
