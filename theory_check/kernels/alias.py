"""Alias tables: draws from a law with many outcomes in one comparison (Walker 1977; Vose 1991).

A uniform cell of the table is kept with probability ``threshold``, and otherwise replaced by its alias.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def fill_alias(chance, low, threshold, alias):  # type: ignore[no-untyped-def]
    """Write the table of a law, not necessarily normalised, from position ``low`` on.

    Parameters
    ----------
    chance
        The law, shape (outcome,).
    low
        Position of its first outcome in the table.
    threshold, alias
        Written: shape (cell,), the alias as a position in the table.
    """
    width = chance.size
    scaled = chance * (width / chance.sum())
    small, large = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
    smalls = larges = 0
    for cell in range(width):
        alias[low + cell] = low + cell
        # What rounding leaves over at the end differs from 1 by rounding, and keeps its own.
        threshold[low + cell] = 1.0
        if scaled[cell] < 1.0:
            small[smalls] = cell
            smalls += 1
        else:
            large[larges] = cell
            larges += 1
    while smalls > 0 and larges > 0:
        smalls -= 1
        poor, rich = small[smalls], large[larges - 1]
        threshold[low + poor] = scaled[poor]
        alias[low + poor] = low + rich
        scaled[rich] -= 1.0 - scaled[poor]
        if scaled[rich] < 1.0:
            larges -= 1
            small[smalls] = rich
            smalls += 1
