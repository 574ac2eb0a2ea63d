"""What ``(I - gamma P_pi)^-1`` does to vectors of a sparse kernel (``docs/theory.md`` section 2.4).

By sweeps ``v <- v + (right - M v)``, which contract by gamma, until what is left is rounding, and
certified by the residual: ``‖M^-1‖_inf = 1/(1-gamma)``. Where gamma is so near to 1 that these are many,
by a sparse factorisation, if its factors stay narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import SuperLU, splu
from torch import Tensor

from theory_check.errors import CertificationError, InvalidArgumentError

Floats: TypeAlias = NDArray[np.float64]
Systems: TypeAlias = list[sparse.csr_array]
"""``I - gamma P_pi`` of every replicate, all with the same entries."""

FEW_SWEEPS = 2000
"""Sweeps from which a factorisation is looked for: gamma = 0.98."""

NARROW = 2**22
"""Numbers of a factor up to which a factorisation takes seconds."""

MOST_SWEEPS = 200_000
"""Sweeps beyond which a system is refused: gamma = 0.9998, a minute or more of one core."""

RELATIVE_CHANGE = 1e-15
SMALLEST = 1e-300
LARGEST_ERROR = 1e-10
"""Error of a solution, relative to its size, beyond which it is refused."""


def sweeps_needed(discount: float) -> int:
    """Return after how many sweeps a start is forgotten up to rounding."""
    return math.ceil(-40.0 / math.log(discount))


def require_solvable(matrix: sparse.csr_array, discount: float, name: str) -> None:
    """Refuse a discount for which neither sweeps nor factors of a sparse system are affordable.

    Parameters
    ----------
    matrix
        A matrix (s, s) with the entries of the system.
    discount
        ``gamma``.
    name
        What the problem calls itself.

    Raises
    ------
    InvalidArgumentError
        Naming the discount and how many numbers the factors would hold.
    """
    if sweeps_needed(discount) <= MOST_SWEEPS:
        return
    numbers = profile(matrix)
    if numbers > NARROW:
        raise InvalidArgumentError(
            "discount",
            f"{discount!r} for {name}, whose {matrix.shape[0]} states with a sparse kernel have systems "
            f"whose factors may hold {numbers} numbers",
            f"pass at most {math.exp(-40.0 / MOST_SWEEPS):.5f}, or a problem whose states can be "
            "ordered so that they lead to close ones",
        )


def profile(matrix: sparse.csr_array) -> int:
    """Return how many numbers a triangular factor holds at most in the order of Cuthill and McKee."""
    pattern = (abs(matrix) + abs(matrix).T).tocsr()
    order = reverse_cuthill_mckee(pattern, symmetric_mode=True)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    entries = pattern.tocoo()
    first = np.arange(order.size)
    np.minimum.at(first, place[entries.row], place[entries.col])
    return int((np.arange(order.size) - first + 1).sum())


@dataclass(frozen=True, eq=False)
class SparseResolvent:
    """Solutions of sparse systems, replicate by replicate.

    Attributes
    ----------
    systems
        ``I - gamma P_pi``.
    discount
        ``gamma``.

    Raises
    ------
    CertificationError
        From every solution of which rounding leaves too little.
    """

    systems: Systems
    discount: float

    def deviations(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``v - v(0)`` for ``v = (I - gamma P)^-1 right``, without forming v."""
        return self._each(right, lambda replicate, given: self._bordered(replicate, given)[0])

    def solve(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-1 right``."""

        def solution(replicate: int, given: Floats) -> Floats:
            deviations, level = self._bordered(replicate, given)
            return deviations + level / self._leak

        return self._each(right, solution)

    def solve_transposed(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right``; without cancellation where ``right >= 0``."""

        def solution(replicate: int, given: Floats) -> Floats:
            if self.factorised:
                found: Floats = self._transposed_factors[replicate].solve(given)
                return found
            return self._swept(self._transposed[replicate], given, None)

        return self._each(right, solution)

    def solve_transposed_balanced(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right`` where every column of ``right`` adds up to 0.

        The columns of the solution then do as well, which is imposed.
        """

        def solution(replicate: int, given: Floats) -> Floats:
            if self.factorised:
                sums = np.zeros_like(given[:1])
                found: Floats = self._factors[replicate].solve(np.vstack([sums, given[1:]]), "T")
                return found
            balanced = np.vstack([-given[1:].sum(0, keepdims=True), given[1:]])
            return self._swept(self._transposed[replicate], balanced, _excess)

        return self._each(right, solution)

    def _bordered(self, replicate: int, right: Floats) -> tuple[Floats, Floats]:
        """Return ``v - v(0)`` and ``(1-gamma) v(0)``, as with a dense system."""
        if self.factorised:
            found = self._factors[replicate].solve(right)
            level = found[:1].copy()
            found[0] = 0.0
            return found, level
        system = self.systems[replicate]
        found = self._swept(system, right, _first)
        return found, (right - system @ found)[:1]

    def _swept(
        self, system: sparse.csr_array, right: Floats, excess: Callable[[Floats], Floats] | None
    ) -> Floats:
        """Return the fixed point of sweeps, of which every one takes off an excess.

        Without one, nothing is negative, and every number is found relatively to its own size: that of a
        state that is far away is small, and grows only once it is reached.
        """
        found, change = np.zeros_like(right), np.zeros_like(right)
        needed = sweeps_needed(self.discount)
        for sweep in range(4 * needed + len(right)):
            latest = found + (right - system @ found)
            if excess is not None:
                latest -= excess(latest)
            change, found = np.abs(latest - found), latest
            size = found if excess is None else np.abs(found).max(0)
            moving = (change > RELATIVE_CHANGE * size + SMALLEST).any()
            # Sums of numbers of either sign may go on changing by their rounding.
            if not moving or (excess is not None and sweep > needed):
                break
        size = np.abs(found).max(0)
        if (change.max(0) > LARGEST_ERROR * self._leak * size).any():
            raise CertificationError(
                f"sweeps over {found.shape[0]} states with a sparse kernel left changes of "
                f"{change.max():.1e}; use a smaller discount (received {self.discount!r})"
            )
        return found

    def _each(self, right: Tensor, solution: Callable[[int, Floats], Floats]) -> Tensor:
        """Solve for every replicate; one that is not finite gives NaN and spoils no other."""
        columns = right.reshape(*right.shape[:2], -1).cpu().numpy()
        found = np.full_like(columns, np.nan)
        for replicate, given in enumerate(columns):
            if np.isfinite(self.systems[replicate].data).all() and np.isfinite(given).all():
                found[replicate] = solution(replicate, given)
        return torch.from_numpy(found).reshape(right.shape).to(right.device)

    @property
    def _leak(self) -> float:
        return 1 - self.discount

    @cached_property
    def factorised(self) -> bool:
        """Whether the sweeps would be many, and factors are narrow."""
        few = sweeps_needed(self.discount) <= FEW_SWEEPS
        return not few and profile(self.systems[0]) <= NARROW

    @cached_property
    def _transposed(self) -> Systems:
        return [system.T.tocsr() for system in self.systems]

    @cached_property
    def _factors(self) -> list[SuperLU]:
        """Those of the systems with their first column replaced by ones."""
        return [splu(_with_ones(system)) for system in self.systems]

    @cached_property
    def _transposed_factors(self) -> list[SuperLU]:
        # Dominated by their diagonals column by column: no rows are exchanged, see Resolvent.
        return [
            splu(system.T.tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
            for system in self.systems
        ]


def _with_ones(system: sparse.csr_array) -> sparse.csc_array:
    ones = sparse.csc_array(np.ones((system.shape[0], 1)))
    return sparse.hstack([ones, system.tocsc()[:, 1:]], format="csc")


def _first(values: Floats) -> Floats:
    """Return the number of the first state: what values count from."""
    return values[:1].copy()


def _excess(values: Floats) -> Floats:
    """Return the sum of all states' numbers as the first one's, so that nothing is left of it."""
    excess = np.zeros_like(values)
    excess[0] = values.sum(0)
    return excess
