"""The lower level tracks the upper variable, and the upper level wants it at a target.

``g(x, y) = |y - x|² / 2`` and ``f(x, y) = |y - t|² / 2``, so that ``y*(x) = x``, and
``Phi(x) = |x - t|² / 2`` is 0 at best, at ``x = t``. A closed form like this one answers all that can be
asked of a problem. One of preferences is shorter: ``theory_check.problems.tabular`` takes its tables and
does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import require_positive_integer, require_seed, require_table
from theory_check.problems.closed_form import IdentityResponse
from theory_check.problems.gradient_noise import GaussianNoise, GradientNoise, require_noise


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackingProblem(IdentityResponse):
    """The family; see the module.

    Attributes
    ----------
    target
        ``t``, shape (upper,).
    """

    target: Float[Tensor, " upper"]

    @cached_property
    def gradient_noise(self) -> GradientNoise:
        """Normal errors that are the same at all points, as the derivation of the claim has them."""
        return GaussianNoise(
            self.noise, self.upper_parameters, self.lower_parameters, along_lower=False
        )

    @property
    def optimal_hyperobjective(self) -> float:
        """``min Phi = 0``, at ``x = t``."""
        return 0.0

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""
        return torch.zeros_like(x), y - self.target

    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""
        return x - y, y - x

    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = |x - t|² / 2``."""
        return 0.5 * (x - self.target).square().sum(-1)

    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x) = x - t``."""
        return x - self.target

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return the root of ``sigma (y - t) + y - x``; NaN where it is no minimiser."""
        if sigma <= -1:
            return torch.full_like(x, torch.nan)
        return (x + sigma * self.target) / (1 + sigma)

    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y)``, whose minimum is 0."""
        return 0.5 * (y - x).square().sum(-1)

    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∇²_xy g v, ∇²_yy g v) = (-v, v)``."""
        return -vector, vector


def tracking(*, dimension: int = 8, noise: float = 1.0, seed: int = 0) -> TrackingProblem:
    """Draw a target from a standard normal law.

    Parameters
    ----------
    dimension
        Of x and of y.
    noise
        Standard deviation of one sample of a gradient component, at least 0.
    seed
        Of the target.
    """
    require_positive_integer("dimension", dimension)
    require_table("dimension", dimension, dimension)
    require_noise(noise)
    require_seed("seed", seed)
    target = np.random.default_rng(seed).standard_normal(dimension)
    return TrackingProblem(
        name=f"tracking({dimension}, seed {seed})",
        upper_parameters=dimension,
        lower_parameters=dimension,
        noise=float(noise),
        target=torch.from_numpy(target),
    )
