"""What plateau and valley share: bilevel problems on which every term of the penalty bound binds.

With x = (x1, x2), y = (y1, y2), ``u = y2 - x2`` and ``c(t) = 1 + tanh(t)/2``,

    g(x, y) = (y1 - x1)²/2 + c(x2) u²/2
    f(x, y) = h(y1) + a (u + k u²/2) + m x2²/2,      y*(x) = x,   Phi(x) = h(x1) + m x2²/2.

The slope ``h`` makes descent slow; ``a`` and the curvature ``c``, which depends on x2, keep a penalty
bias at the optimum; the errors of sampled gradients do not depend on the point (``docs/theory.md``
section 6.4).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.kernels import hard_instance as kernels
from theory_check.problems.closed_form import IdentityResponse
from theory_check.problems.gradient_noise import GaussianNoise, GradientNoise


@dataclass(frozen=True, eq=False, kw_only=True)
class HardInstance(IdentityResponse):
    """Plateau or valley; see the module.

    Attributes
    ----------
    slope
        ``a``: the derivative of f along u at ``u = 0``.
    bend
        ``k`` > 0: without it the bias of a central difference would vanish.
    stiffness
        ``m``: curvature of Phi in x2.
    """

    slope: float
    bend: float
    stiffness: float

    @abstractmethod
    def height(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h``."""

    @abstractmethod
    def height_slope(self, z: Float[Tensor, " replicate"]) -> Float[Tensor, " replicate"]:
        """Return ``h'``."""

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

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""
        in_upper, in_lower = kernels.upper_gradients(
            _plain(x),
            _plain(y),
            _plain(self.height_slope(y[:, 0])),
            self.slope,
            self.bend,
            self.stiffness,
        )
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
        return torch.stack([self.height_slope(x[:, 0]), self.stiffness * x[:, 1]], dim=1)

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``argmin_y sigma f + g``, for sigma < 0 as long as it exists.

        Raises
        ------
        InvalidArgumentError
            For a negative sigma at which ``sigma f + g`` has no minimiser.
        """
        curvature, _ = _curvature(x[:, 1])
        stiffness = curvature + sigma * self.slope * self.bend
        if sigma < 0 and (
            -sigma * self.largest_curvature() >= 1 or bool((stiffness <= 0).any().item())
        ):
            raise InvalidArgumentError(
                "sigma", sigma, "pass one nearer 0: sigma f + g has no minimiser here"
            )
        return torch.stack(
            [
                self.proximal_point(x[:, 0], sigma),
                x[:, 1] - sigma * self.slope / stiffness,
            ],
            dim=1,
        )

    def surrogate_gradient(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma``.

        That of the envelope of h, and ``m x2 + sigma a² c' / (2 (c + sigma a k)²)``.
        """
        curvature, change = _curvature(x[:, 1])
        bias = (
            sigma
            * self.slope**2
            * change
            / (2 * (curvature + sigma * self.slope * self.bend).square())
        )
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
    array: NDArray[np.float64] = values.numpy(force=True)
    return array


def _like(values: NDArray[np.float64], like: Tensor) -> Tensor:
    tensor = torch.from_numpy(values)
    return tensor if like.is_cpu else tensor.to(like.device)


def _curvature(
    t: Float[Tensor, " replicate"],
) -> tuple[Float[Tensor, " replicate"], Float[Tensor, " replicate"]]:
    """Return ``c(t) = 1 + tanh(t)/2`` and ``c'(t)``."""
    bent = torch.tanh(t)
    return 1 + bent / 2, (1 - bent.square()) / 2
