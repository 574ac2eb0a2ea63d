"""Products with a kernel, between states and pairs with an action: by a table, or by sparse rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True, eq=False)
class DenseMoves:
    """A table that takes numbers of states to pairs of state and action, and back, by products.

    Attributes
    ----------
    table
        Shape (s, a, t): probabilities, or their differences to those of staying.
    """

    table: Float[Tensor, "s a t"]

    def mean(self, values: Float[Tensor, "replicate t"]) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_t table(s, a, t) value(t)``."""
        found = (self.table.flatten(0, 1) @ values.mT).mT
        return found.reshape(-1, *self.table.shape[:2])

    def pushed(self, mass: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate t"]:
        """Return ``sum_{s, a} mass(s, a) table(s, a, t)``."""
        return mass.flatten(1) @ self.table.flatten(0, 1)


@dataclass(frozen=True, eq=False)
class SparseMoves:
    """The same from the rows of a sparse matrix, on the CPU.

    Attributes
    ----------
    rows
        Shape (s * a, t).
    actions
        Number of actions.
    """

    rows: sparse.csr_array
    actions: int

    def mean(self, values: Float[Tensor, "replicate t"]) -> Float[Tensor, "replicate s a"]:
        """Return ``sum_t table(s, a, t) value(t)``."""
        found = _product(self.rows, values)
        return found.reshape(len(found), -1, self.actions)

    def pushed(self, mass: Float[Tensor, "replicate s a"]) -> Float[Tensor, "replicate t"]:
        """Return ``sum_{s, a} mass(s, a) table(s, a, t)``."""
        return _product(self._columns, mass.flatten(1))

    def under(self, policy: Float[Tensor, "replicate s a"]) -> list[sparse.csr_array]:
        """Return ``sum_a pi(a|s) table(s, a, t)``, a matrix (s, t) for every replicate."""
        bounds, columns, entry = self._under
        pair = np.repeat(np.arange(self.rows.shape[0]), np.diff(self.rows.indptr))
        found = []
        for chances in policy.flatten(1).cpu().numpy():
            weights = chances[pair] * self.rows.data
            summed = np.bincount(entry, weights, minlength=columns.size)
            found.append(sparse.csr_array((summed, columns, bounds), shape=2 * (bounds.size - 1,)))
        return found

    @cached_property
    def _columns(self) -> sparse.csr_array:
        return self.rows.T.tocsr()

    @cached_property
    def _under(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Rows of the matrix of a policy, and which of its entries every entry is added to."""
        states = self.rows.shape[1]
        state = np.repeat(np.arange(self.rows.shape[0]), np.diff(self.rows.indptr)) // self.actions
        cells, entry = np.unique(state * states + self.rows.indices, return_inverse=True)
        bounds = np.searchsorted(cells, states * np.arange(states + 1))
        return bounds.astype(np.int32), (cells % states).astype(np.int32), entry


Moves: TypeAlias = DenseMoves | SparseMoves


def _product(matrix: sparse.csr_array, values: Tensor) -> Float[Tensor, "replicate row"]:
    """Return a matrix times every row of ``values``."""
    found = np.ascontiguousarray((matrix @ values.cpu().numpy().T).T)
    return torch.from_numpy(found).to(values.device)
