"""Negative control: ``g = (y - x)^4, f = y²/2``, weakly gradient dominated without an error bound.

``Phi(x) = x²/2``, but the penalised minimiser solves ``4 (y - x)³ + sigma y = 0``, so that
``∇Phi_sigma = y_sigma`` is off by ``(sigma |y_sigma| / 4)^{1/3}``: a penalty bias of exponent 1/3
(``docs/theory.md`` section 6.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.problems.closed_form import IdentityResponse
from theory_check.problems.gradient_noise import require_noise

NEWTON_STEPS = 100


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class QuarticProblem(IdentityResponse):
    """The quartic counterexample in one dimension each; see the module."""

    @property
    def optimal_hyperobjective(self) -> float:
        """``min Phi = 0``, at x = 0."""
        return 0.0

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""
        return torch.zeros_like(x), y

    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""
        slope = 4 * (y - x) ** 3
        return -slope, slope

    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = x² / 2``."""
        return 0.5 * x.square().sum(-1)

    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x) = x``."""
        return x

    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(-12 (y - x)² v, 12 (y - x)² v)``."""
        curved = 12 * (y - x) ** 2 * vector
        return -curved, curved

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return the root of ``4 d³ + sigma (x + d)`` shifted by x; for sigma < 0 the one away from 0.

        It is the only one of its sign: for sigma > 0 the left side increases, for sigma < 0 its
        coefficients change their sign once. Newton's method from the far side of the root, where the
        cubic is convex (for x > 0, mirrored for x < 0), approaches it monotonically.
        """
        if sigma == 0.0:
            return x
        size, strength, sign = x.abs(), abs(sigma), 1.0 if sigma > 0 else -1.0
        if sigma > 0:
            depth = (strength * size / 4) ** (1 / 3)
        else:
            # With p³ = s |x| / 2 and q² = s / 2, 4 (p + q)³ is at least 4 p³ + 12 p q² + 4 q³, beyond
            # s |x| + s (p + q).
            depth = (strength * size / 2) ** (1 / 3) + (strength / 2) ** 0.5
        for _ in range(NEWTON_STEPS):
            excess = 4 * depth**3 - strength * (size - sign * depth)
            depth = depth - excess / (12 * depth**2 + sigma)
        return x - sign * torch.where(x < 0, -depth, depth)

    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y)``, whose minimum is 0."""
        return ((y - x) ** 4).sum(-1)


def quartic(*, noise: float = 0.0) -> QuarticProblem:
    """Build the quartic counterexample.

    Parameters
    ----------
    noise
        Standard deviation of one sample of a gradient component, at least 0.
    """
    require_noise(noise)
    return QuarticProblem(
        name="quartic", upper_parameters=1, lower_parameters=1, noise=float(noise)
    )
