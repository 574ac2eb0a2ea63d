"""The penalised lower level ``sigma G + g`` and its solutions (``docs/theory.md`` section 3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import require_finite, require_scale
from theory_check.oracles.control.soft_control import SoftControl

GRADIENT_TOLERANCE = 1e-11
# What double precision leaves of a gradient of order 1.
SMALLEST_TOLERANCE = 1e-14
SMALLEST_SIGMA = 1e-7


@dataclass(frozen=True, eq=False)
class PenalisedLowerLevel(ABC):
    """``sigma G(phi, .) + J*(phi) - J(phi, .)`` for given rewards.

    Attributes
    ----------
    control
        The problem's control.
    reward
        Reward tables, shape (replicate, s, a).
    optimal
        ``log pi*`` for them, shape (replicate, h, s, a).
    sigma
        Penalty parameter.
    """

    control: SoftControl
    reward: Float[Tensor, "replicate s a"]
    optimal: Float[Tensor, "replicate h s a"]
    sigma: float

    @abstractmethod
    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``sigma G + (J* - J)``."""

    def gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the logits."""
        return to_logits(log_policy.exp(), self.table_gradient(log_policy))

    @abstractmethod
    def table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table, along policies."""

    @abstractmethod
    def largest_return(self) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of what is compared."""


def to_logits(
    policy: Float[Tensor, "*#lead h s a"], cotangent: Float[Tensor, "*#lead h s a"]
) -> Float[Tensor, "*#lead h s a"]:
    """Pull derivatives in ``log_softmax(logits)`` back to the logits."""
    return cotangent - policy * cotangent.sum(-1, keepdim=True)


@dataclass(frozen=True, eq=False)
class PenalisedSolution:
    """Minimisers of the penalised lower level and whether they are certified.

    Attributes
    ----------
    log_policy
        ``log pi_{lambda_sigma}``, shape (replicate, h, s, a).
    gradient_norm
        Euclidean norm of the gradient in the logits, shape (replicate,).
    certified
        Whether that norm is at most :func:`tolerance`, shape (replicate,).
    """

    log_policy: Float[Tensor, "replicate h s a"]
    gradient_norm: Float[Tensor, " replicate"]
    certified: Bool[Tensor, " replicate"]


def require_penalty(sigma: float) -> None:
    """Refuse a sigma whose size is no usable scale; it may be negative."""
    require_finite("sigma", sigma)
    require_scale("sigma", abs(sigma))


def tolerance(level: PenalisedLowerLevel) -> Float[Tensor, " replicate"]:
    """Return the gradient norm at which a minimiser counts as found, per replicate.

    1e-11, times ``sigma`` below 1: the gradient at the unpenalised optimum is of order ``sigma``, and
    an error e of the inner gradient is one of order e / sigma in ``∇Phi_sigma``. Double precision
    ends this at 1e-14, that is at an error of 1e-14 / sigma, which is why ``sigma`` has a smallest
    value. Everything is relative to the size of returns and of the KL weight.
    """
    returns = level.largest_return()
    size = abs(level.sigma)
    scale = returns.clamp_min(max(1.0, level.control.kl_weight, size))
    relative = max(GRADIENT_TOLERANCE * min(size, 1.0), SMALLEST_TOLERANCE)
    return relative * scale
