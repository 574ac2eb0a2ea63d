"""Alias tables: an outcome of a law for one uniform number, however many outcomes there are.

Walker 1977; Vose 1991. Tables lie in rows of one array. Positions are unsigned, which spares compiled
code the wrap-around of negative ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.random_bits import next_uniform


class AliasRows(NamedTuple):
    """Tables of several laws.

    Attributes
    ----------
    width
        Cells of a row.
    threshold, alias
        A uniform cell of a row is kept with probability ``threshold``, and otherwise replaced by its
        alias, a position among the cells of all rows.
    """

    width: int
    threshold: Floats
    alias: NDArray[np.uint64]


@numba.njit(cache=True, error_model="numpy")
def alias_rows(laws: Floats) -> AliasRows:
    """Return the tables of laws, not necessarily normalised, shape (row, outcome).

    A row of zeros is no law; nothing may be drawn from it.
    """
    rows, width = laws.shape
    tables = AliasRows(width, np.empty(rows * width), np.empty(rows * width, dtype=np.uint64))
    for row in range(rows):
        fill_alias(laws[row], row * width, tables.threshold, tables.alias)
    return tables


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_alias(bits, low, width, threshold, alias):  # type: ignore[no-untyped-def]
    """Draw a position from the row of tables that starts at ``low``."""
    uniform, bits = next_uniform(bits)
    scaled = uniform * width
    column = np.uint64(scaled)
    cell = low + column
    # Both are read, so that compiled code selects one and does not branch.
    kept, other = threshold[cell], alias[cell]
    return (cell if scaled - np.float64(column) < kept else other), bits


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def draw_from_row(bits, row, tables):  # type: ignore[no-untyped-def]
    """Draw an outcome of the law in a row."""
    low = np.uint64(row) * np.uint64(tables.width)
    cell, bits = draw_alias(bits, low, tables.width, tables.threshold, tables.alias)
    return cell - low, bits


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
