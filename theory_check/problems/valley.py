"""Valley: one instance for all targets, whose floor falls ever more gently.

``h(z) = D (1 + z)^-p`` for z >= 0, continued by its parabola at 0 for z < 0. Along the gradient flow
``‖∇Phi‖² ~ t^{-(2p+2)/(p+2)}``, which tends to 1/t as p falls to 0 (``docs/theory.md`` section 6.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import require_positive
from theory_check.kernels.hard_instance import Landscape
from theory_check.problems.gradient_noise import require_noise
from theory_check.problems.hard_instance import NEWTON_STEPS, HardInstance


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ValleyProblem(HardInstance):
    """The valley; see the module.

    Attributes
    ----------
    depth
        ``D = Phi(x_0) - inf Phi``, since runs start at x = 0.
    decay
        ``p`` > 0.
    """

    depth: float
    decay: float

    @property
    def landscape(self) -> Landscape:
        """``h'`` is ``-D p (1 + z)^(-p - 1)``, linear where z < 0."""
        return Landscape(
            self.slope,
            self.bend,
            self.stiffness,
            falling=True,
            height=self.depth,
            shape=self.decay,
        )

    @property
    def end_curvature(self) -> float:
        """0: ``h''`` falls to 0 along the valley."""
        return 0.0

    @property
    def optimal_hyperobjective(self) -> float:
        """``inf Phi = 0``, approached as x1 grows and not attained."""
        return 0.0

    @property
    def start(self) -> Float[Tensor, " upper"]:
        """``x = 0``."""
        return torch.zeros(2, dtype=torch.float64)

    @property
    def flow_exponent(self) -> float:
        """The exponent of ``‖∇Phi‖²`` in 1/t along the gradient flow, ``(2p + 2)/(p + 2)``."""
        return (2 * self.decay + 2) / (self.decay + 2)

    def height(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h``."""
        p = self.decay
        inside = (1 + z.clamp(min=0)) ** -p
        parabola = 1 - p * z + p * (p + 1) * z.square() / 2
        return self.depth * torch.where(z < 0, parabola, inside)

    def proximal_point(
        self, z: Float[Tensor, " replicate"], sigma: float
    ) -> Float[Tensor, " replicate"]:
        """Return the root of ``y - z + sigma h'(y)``.

        On the parabola it is a linear equation. Beyond, the function increases, concave for sigma > 0 and
        convex for sigma < 0, and Newton's method from z (from 0 where z < 0) approaches the root
        monotonically, from the side on which the tangent does not pass it.
        """
        p, strength = self.decay, sigma * self.depth * self.decay
        left = (z + strength) / (1 + strength * (p + 1))
        root = z.clamp(min=0)
        for _ in range(NEWTON_STEPS):
            inside = (1 + root) ** (-p - 1)
            excess = root - z - strength * inside
            step = excess / (1 + strength * (p + 1) * inside / (1 + root))
            root = (root - step).clamp(min=0)
            if bool((step.abs() <= 1e-15 * (1 + root)).all()):
                break
        return torch.where(left < 0, left, root)

    def flow_height(self, times: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return Phi along the flow, ``(1 + z)^{p+2} = 1 + D p (p+2) t``."""
        p = self.decay
        height: NDArray[np.float64] = self.depth * (1 + self.depth * p * (p + 2) * times) ** (
            -p / (p + 2)
        )
        return height

    def largest_curvature(self) -> float:
        """Return ``h''(0) = D p (p + 1)``."""
        return self.depth * self.decay * (self.decay + 1)


def valley(
    *,
    depth: float = 10.0,
    decay: float = 0.1,
    slope: float = 8.0,
    bend: float = 0.5,
    stiffness: float = 1.0,
    noise: float = 1.0,
) -> ValleyProblem:
    """Build the valley.

    Parameters
    ----------
    depth, decay
        ``D`` and ``p`` of ``h = D (1 + z)^-p``.
    slope, bend
        ``a`` and ``k`` of ``f``.
    stiffness
        ``m``: curvature of Phi in x2.
    noise
        Standard deviation of one sample of a gradient component, at least 0.
    """
    require_noise(noise)
    for argument, value in (
        ("depth", depth),
        ("decay", decay),
        ("slope", slope),
        ("bend", bend),
        ("stiffness", stiffness),
    ):
        require_positive(argument, value)
    return ValleyProblem(
        name="valley",
        upper_parameters=2,
        lower_parameters=2,
        noise=float(noise),
        slope=float(slope),
        bend=float(bend),
        stiffness=float(stiffness),
        depth=float(depth),
        decay=float(decay),
    )
