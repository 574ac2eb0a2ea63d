"""Tensors as kernels take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def as_array(values: Tensor) -> NDArray:
    """Return a tensor as the contiguous array that kernels take."""
    return np.ascontiguousarray(values.cpu().numpy())
