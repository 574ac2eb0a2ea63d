"""What an estimate is one of, where it is not the gradient of one penalised problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import BilevelTruth, SolverState


class EstimatesHypergradient:
    """A solver whose estimate tends to ``∇Phi`` itself as its inner loop converges."""

    def surrogate_gradient(
        self, truth: BilevelTruth, state: SolverState
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``."""
        return truth.hypergradient(state.upper)


class EstimatesCentralDifference:
    """A solver whose estimate is the difference of two penalised levels, at ``sigma`` and ``-sigma``.

    ``(∇ min h_sigma - ∇ min h_-sigma) / (2 sigma)`` is the mean of ``∇Phi_sigma`` and ``∇Phi_-sigma``
    (``docs/theory.md`` section 3.6). Its ``penalty`` is None: no single ``Phi_sigma`` is followed.

    Attributes
    ----------
    sigma
        Half the distance of the two points.
    """

    sigma: float

    def surrogate_gradient(
        self, truth: BilevelTruth, state: SolverState
    ) -> Float[Tensor, "replicate upper"]:
        """Return the mean of ``∇Phi_sigma`` and ``∇Phi_-sigma``."""
        above = truth.surrogate_gradient(state.upper, self.sigma)
        below = truth.surrogate_gradient(state.upper, -self.sigma)
        return (above + below) / 2


class CountsIterations(SolverState, Protocol):
    """A state that knows how many iterations led to it."""

    @property
    def iteration(self) -> int:
        """Iterations so far."""
        ...


class FallingPenalty(ABC):
    """A solver whose estimate follows ``Phi_sigma`` with a sigma that falls with the iterations."""

    @abstractmethod
    def sigma_at(self, iteration: int) -> float:
        """Return sigma after a number of iterations."""

    def surrogate_gradient(
        self, truth: BilevelTruth, state: CountsIterations
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma`` at the sigma of the iteration that formed the estimate."""
        return truth.surrogate_gradient(state.upper, self.sigma_at(max(state.iteration - 1, 0)))
