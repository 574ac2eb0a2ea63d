"""Exponents in sigma of numbers that are exact: nothing is random, so nothing has an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def local_slopes(
    x: Sequence[float], y: Sequence[float], *, reciprocal: bool = False
) -> tuple[float, ...]:
    """Return ``d log y / d log x`` between neighbours, in ``1/x`` when ``reciprocal``.

    NaN where a value is not positive and finite.
    """
    across, up = _logarithms(x, y, reciprocal)
    return tuple((np.diff(up) / np.diff(across)).tolist())


def _logarithms(
    x: Sequence[float], y: Sequence[float], reciprocal: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.asarray(y, dtype=np.float64)
    sound = np.isfinite(values) & (values > 0)
    logarithm = np.log(np.asarray(x, dtype=np.float64))
    return -logarithm if reciprocal else logarithm, np.log(np.where(sound, values, np.nan))
