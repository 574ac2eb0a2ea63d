"""What F2SA and its version with momentum share: one step of every variable an iteration, all falling.

Source: Kwon, Kwon, Wright and Nowak, 2301.10945. The steps of z and y are ``gamma_k ~ k^-c``, that of x
is ``xi alpha_k ~ k^-a``, and ``lambda_k = 1 / sigma_k = gamma_k / (2 alpha_k)`` grows like ``k^(a - c)``;
the exponents depend on the version.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from theory_check.bilevel import Information
from theory_check.settings import Positive, PositiveInteger, Settings
from theory_check.solvers.states import FallingPenalty, PenaltyState

WARM_UP = 100
"""k_0 of ``(1 + k / k_0)``: iterations before the steps begin to fall."""


@dataclass(frozen=True, eq=False)
class SingleLoopState(PenaltyState):
    """State of a single loop.

    Attributes
    ----------
    iteration
        k: iterations so far.
    """

    iteration: int = 0


@dataclass(frozen=True)
class SingleLoop(FallingPenalty, Settings):
    """The settings of the first iterations, and how they fall.

    Parameters
    ----------
    sigma
        ``1 / lambda_0`` > 0.
    inner_step_size
        ``gamma_0`` > 0; y moves with the same step along ``∂_y (sigma f + g)``.
    step_size
        ``xi alpha_0`` > 0.
    trajectories
        Lower-level samples n of every lower gradient and of the penalty difference.
    pairs
        Upper-level samples B.

    Attributes
    ----------
    step_exponent, lower_exponent
        a and c, of ``alpha_k`` and ``gamma_k`` where both levels are noisy.
    """

    information: ClassVar[Information] = "samples"
    step_exponent: ClassVar[float]
    lower_exponent: ClassVar[float]

    sigma: Positive
    inner_step_size: Positive
    step_size: Positive
    trajectories: PositiveInteger
    pairs: PositiveInteger

    def sigma_at(self, iteration: int) -> float:
        """Return ``1 / lambda_k``, which falls like ``k^(c - a)``."""
        return self.sigma * math.pow(age(iteration), self.lower_exponent - self.step_exponent)

    def inner_step_at(self, iteration: int) -> float:
        """Return ``gamma_k``."""
        step: float = self.inner_step_size * age(iteration) ** -self.lower_exponent
        return step

    def step_at(self, iteration: int) -> float:
        """Return ``xi alpha_k``."""
        step: float = self.step_size * age(iteration) ** -self.step_exponent
        return step


def age(iteration: int) -> float:
    """Return ``1 + k / k_0``, of which the steps are powers."""
    return 1 + iteration / WARM_UP
