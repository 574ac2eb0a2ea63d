"""What plateau and valley share: bilevel problems on which every term of the penalty bound binds.

With x = (x1, x2), y = (y1, y2), ``u = y2 - x2``, ``c(t) = 1 + tanh(t)/2`` and
``q'(u) = 1 + tanh(2 k u)/2``, ``q(0) = 0``,

    g(x, y) = (y1 - x1)²/2 + c(x2) u²/2
    f(x, y) = h(y1) + a q(u) + m x2²/2,      y*(x) = x,   Phi(x) = h(x1) + m x2²/2.

The slope ``h`` makes descent slow; ``a`` and the curvature ``c``, which depends on x2, keep a penalty
bias at the optimum, at every sigma since q has no minimum; the errors of sampled gradients do not
depend on the point (``docs/theory.md`` section 6.4).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.kernels import hard_instance as kernels
from theory_check.problems.closed_form import IdentityResponse
from theory_check.problems.gradient_noise import GaussianNoise, GradientNoise

NEWTON_STEPS = 60


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class HardInstance(IdentityResponse):
    """Plateau or valley; see the module.

    Attributes
    ----------
    slope
        ``a``: the derivative of f along u at ``u = 0``.
    bend
        ``k = q''(0)`` > 0: without it the bias of a central difference would vanish.
    stiffness
        ``m``: curvature of Phi in x2.
    """

    instruments: ClassVar[str] = "theory_check.oracles.hard_oracle.HardInstruments"

    slope: float
    bend: float
    stiffness: float

    @property
    @abstractmethod
    def landscape(self) -> kernels.Landscape:
        """The instance for compiled loops, which know ``h'`` and the gradients."""

    @abstractmethod
    def height(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h``."""

    @abstractmethod
    def proximal_point(
        self, z: Float[Tensor, " replicate"], sigma: float
    ) -> Float[Tensor, " replicate"]:
        """Return ``argmin_y sigma h(y) + (y - z)²/2``; for sigma < 0 its stationary point."""

    @property
    @abstractmethod
    def end_curvature(self) -> float:
        """``h''`` where descent ends."""

    @abstractmethod
    def largest_curvature(self) -> float:
        """Return the largest ``|h''|``."""

    @abstractmethod
    def flow_height(self, times: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return Phi along its gradient flow from the start, where ``-dPhi/dt = ‖∇Phi‖²``."""

    @cached_property
    def gradient_noise(self) -> GradientNoise:
        """Normal errors that are the same at every point: a shared batch cancels them in differences."""
        return GaussianNoise(
            self.noise, self.upper_parameters, self.lower_parameters, along_lower=False
        )

    def height_slope(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h'``."""
        return _like(kernels.slopes(self.landscape, _plain(z)), z)

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""
        in_upper, in_lower = kernels.upper_gradients(self.landscape, _plain(x), _plain(y))
        return _like(in_upper, x), _like(in_lower, x)

    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""
        in_upper, in_lower = kernels.lower_gradients(_plain(x), _plain(y))
        return _like(in_upper, x), _like(in_lower, x)

    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = h(x1) + m x2²/2``."""
        return self.height(x[:, 0]) + self.stiffness * x[:, 1].square() / 2

    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x)``."""
        return _like(kernels.hypergradient(self.landscape, _plain(x)), x)

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``argmin_y sigma f + g``; NaN where a negative sigma leaves none."""
        curvature, _ = _curvature(x[:, 1])
        first = self.proximal_point(x[:, 0], sigma)
        found = torch.stack([first, x[:, 1] + self._displacement(curvature, sigma)], dim=1)
        if sigma >= 0:
            return found
        exists = curvature + sigma * self.slope * self.bend > 0
        exists &= -sigma * self.largest_curvature() < 1
        return torch.where(exists[:, None], found, torch.nan)

    def _displacement(
        self, curvature: Float[Tensor, " replicate"], sigma: float
    ) -> Float[Tensor, " replicate"]:
        """Return the root of ``c u + sigma a q'(u)``.

        Where the root can be, the function increases and is convex, and Newton's method approaches the
        root monotonically from the right end, where ``q'`` has its largest or smallest value.
        """
        pull = sigma * self.slope
        u = -pull * (0.5 if sigma > 0 else 1.5) / curvature
        for _ in range(NEWTON_STEPS):
            bent = torch.tanh(2 * self.bend * u)
            excess = curvature * u + pull * (1 + bent / 2)
            step = excess / (curvature + pull * self.bend * (1 - bent.square()))
            u = u - step
            if bool((step.abs() <= 1e-15 * (1 + u.abs())).all()):
                break
        return u

    def surrogate_gradient(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma``.

        That of the envelope of h, and ``m x2 + c' u²/(2 sigma)`` at the minimiser.
        """
        curvature, change = _curvature(x[:, 1])
        bias = change * self._displacement(curvature, sigma).square() / (2 * sigma)
        slope = self.height_slope(self.proximal_point(x[:, 0], sigma))
        return torch.stack([slope, self.stiffness * x[:, 1] + bias], dim=1)

    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y)``, whose minimum is 0."""
        miss = (y - x).square()
        return (miss[:, 0] + _curvature(x[:, 1])[0] * miss[:, 1]) / 2

    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∇²_xy g v, ∇²_yy g v)``."""
        curvature, change = _curvature(x[:, 1])
        first, second = vector[:, 0], vector[:, 1]
        mixed = (change * (y[:, 1] - x[:, 1]) - curvature) * second
        return torch.stack([-first, mixed], dim=1), torch.stack([first, curvature * second], dim=1)


def _plain(values: Tensor) -> NDArray[np.float64]:
    return np.ascontiguousarray(values.numpy(force=True))


def _like(values: NDArray[np.float64], like: Tensor) -> Tensor:
    tensor = torch.from_numpy(values)
    return tensor if like.is_cpu else tensor.to(like.device)


def _curvature(
    t: Float[Tensor, " replicate"],
) -> tuple[Float[Tensor, " replicate"], Float[Tensor, " replicate"]]:
    """Return ``c(t) = 1 + tanh(t)/2`` and ``c'(t)``."""
    bent = torch.tanh(t)
    return 1 + bent / 2, (1 - bent.square()) / 2
