"""What ``(I - gamma P_pi)^-1`` does to vectors: factorised once for all questions about one policy."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Solves(Protocol):
    """What control asks for; right-hand sides are one vector or several columns for every replicate."""

    def deviations(self, right: Tensor) -> Tensor:
        """Return ``v - v(0)`` for ``v = (I - gamma P)^-1 right``."""
        ...

    def solve(self, right: Tensor) -> Tensor:
        """Return ``(I - gamma P)^-1 right``."""
        ...

    def solve_transposed(self, right: Tensor) -> Tensor:
        """Return ``(I - gamma P)^-T right``."""
        ...

    def solve_transposed_balanced(self, right: Tensor) -> Tensor:
        """Return ``(I - gamma P)^-T right`` where every column of ``right`` adds up to 0."""
        ...


@dataclass(frozen=True, eq=False)
class Resolvent:
    """What ``(I - gamma P)^-1`` does to vectors, for a batch of transition matrices P.

    Attributes
    ----------
    system
        ``I - gamma P``, shape (replicate, s, s).
    leak
        ``1 - gamma``, the sum of every row of the system.
    """

    system: Float[Tensor, "replicate s s"]
    leak: float

    def deviations(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``v - v(0)`` for ``v = (I - gamma P)^-1 right``, without forming v."""
        return self._bordered_solution(right)[0]

    def solve(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-1 right``, for one or several right-hand sides."""
        deviations, level = self._bordered_solution(right)
        return deviations + level / self.leak

    def solve_transposed(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right``; without cancellation where ``right >= 0``."""
        return _solve(self._transposed, right, adjoint=False)

    def solve_transposed_balanced(self, right: Float[Tensor, "replicate s *column"]) -> Tensor:
        """Return ``(I - gamma P)^-T right`` where every column of ``right`` adds up to 0.

        The columns of the solution then do as well. That is imposed, whatever rounding left of their
        sums, which would come back ``1/(1-gamma)`` times as large.
        """
        rest = right[:, 1:]
        sums = torch.zeros_like(right[:, :1])
        return _solve(self._bordered, torch.cat([sums, rest], dim=1), adjoint=True)

    def _bordered_solution(self, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``v - v(0)`` and ``(1-gamma) v(0)``.

        As the system takes constants to ``1-gamma`` times themselves, ``v = w + l/(1-gamma)`` solves it
        when ``(I - gamma P) w + l = right``. With ``w(0) = 0`` the level l takes the place of w(0).
        """
        solution = _solve(self._bordered, right, adjoint=False)
        level = solution[:, :1].clone()
        solution[:, 0] = 0.0
        return solution, level

    @cached_property
    def _bordered(self) -> tuple[Tensor, Tensor]:
        """The factors of the system with its first column replaced by ones."""
        bordered = self.system.clone()
        bordered[:, :, 0] = 1.0
        return _factorise(bordered)

    @cached_property
    def _transposed(self) -> tuple[Tensor, Tensor]:
        # The transpose is dominated by its diagonal column by column, so that no rows are exchanged
        # and non-negative right-hand sides stay free of cancellation.
        return _factorise(self.system.mT)


def _factorise(matrices: Float[Tensor, "replicate s s"]) -> tuple[Tensor, Tensor]:
    """Factorise; a matrix that is not finite gives solutions that are not, and spoils no other."""
    # Without the check: it would refuse the whole batch for one matrix.
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrices)
    return factors, pivots


def _solve(factorised: tuple[Tensor, Tensor], right: Tensor, *, adjoint: bool) -> Tensor:
    columns = right[..., None] if right.ndim == 2 else right
    found: Tensor = torch.linalg.lu_solve(*factorised, columns, adjoint=adjoint)
    return found.reshape(right.shape)


class LatestResolvent:
    """Remembers the factorisations that belong to the last policy asked about.

    A policy is recognised as the same unmodified tensor, and is not kept alive.
    """

    def __init__(self) -> None:
        self._known: tuple[weakref.ref[Tensor], int, Solves] | None = None

    def __getstate__(self) -> dict[str, None]:
        """Forget: a copy has policies of its own, and references to others cannot be copied."""
        return {"_known": None}

    def of(self, policy: Tensor, resolvent_of: Callable[[Tensor], Solves]) -> Solves:
        """Return ``resolvent_of(policy)``."""
        if policy.is_inference():  # such tensors do not tell whether they were modified
            return resolvent_of(policy)
        if self._known is not None:
            known, version, resolvent = self._known
            if known() is policy and version == policy._version:
                return resolvent
        resolvent = resolvent_of(policy)
        self._known = (weakref.ref(policy), policy._version, resolvent)
        return resolvent
