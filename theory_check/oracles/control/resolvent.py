"""Linear systems that several questions about one policy share."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Resolvent:
    """The inverse of a batch of matrices, by their LU factorisation.

    Attributes
    ----------
    factors, pivots
        As :func:`torch.linalg.lu_factor` returns them, shapes (replicate, s, s) and (replicate, s).
    """

    factors: Float[Tensor, "replicate s s"]
    pivots: Tensor

    @classmethod
    def of(cls, matrices: Float[Tensor, "replicate s s"]) -> Resolvent:
        """Factorise; a matrix that is not finite gives solutions that are not, and spoils no other."""
        # Without the check: it would refuse the whole batch for one matrix.
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrices)
        return cls(factors, pivots)

    def solve(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``M^-1 right``, for one or several right-hand sides."""
        return self._solve(right, transposed=False)

    def solve_transposed(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``M^-T right``, for one or several right-hand sides."""
        return self._solve(right, transposed=True)

    def _solve(self, right: Tensor, transposed: bool) -> Tensor:
        columns = right[..., None] if right.ndim == 2 else right
        found: Tensor = torch.linalg.lu_solve(
            self.factors, self.pivots, columns, adjoint=transposed
        )
        return found.reshape(right.shape)


class LatestResolvent:
    """Remembers the factorisation that belongs to the last policy asked about.

    A policy is recognised as the same unmodified tensor, and is not kept alive.
    """

    def __init__(self) -> None:
        self._known: tuple[weakref.ref[Tensor], int, Resolvent] | None = None

    def __getstate__(self) -> dict[str, None]:
        """Forget: a copy has policies of its own, and references to others cannot be copied."""
        return {"_known": None}

    def of(self, policy: Tensor, system: Callable[[Tensor], Tensor]) -> Resolvent:
        """Return the inverse of ``system(policy)``."""
        if policy.is_inference():  # such tensors do not tell whether they were modified
            return Resolvent.of(system(policy))
        if self._known is not None:
            known, version, resolvent = self._known
            if known() is policy and version == policy._version:
                return resolvent
        resolvent = Resolvent.of(system(policy))
        self._known = (weakref.ref(policy), policy._version, resolvent)
        return resolvent
