"""Positive control: a quadratic lower level with a rank-deficient Hessian (PL, not strongly convex).

``g(x, y) = sum_i a_i (q_i.y - m_i.x)² / 2`` over ``rank`` orthonormal directions ``q_i``, so that every
direction outside their span is free, and ``f(x, y) = |Q y - t|² / 2 + weight |x|² / 2``, which looks at
the same span only. With ``u = M x``, ``Q y*(x) = u`` and ``Q y_sigma(x) = (a u + sigma t) / (a + sigma)``
(``docs/theory.md`` section 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    require_positive_integer,
    require_seed,
    require_table,
)
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.problems.gradient_noise import require_noise

UPPER_WEIGHT = 0.1


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class QuadraticProblem(ClosedFormProblem):
    """The quadratic family; see the module.

    Attributes
    ----------
    curvatures
        ``a``, shape (rank,), positive.
    directions
        ``Q``, shape (rank, lower), orthonormal rows.
    response
        ``M``, shape (rank, upper).
    target
        ``t``, shape (rank,).
    """

    curvatures: Float[Tensor, " rank"]
    directions: Float[Tensor, "rank lower"]
    response: Float[Tensor, "rank upper"]
    target: Float[Tensor, " rank"]

    @cached_property
    def optimal_hyperobjective(self) -> float:
        """``min Phi``: the value at the solution of a ridge regression."""
        system = self.response.T @ self.response
        system = system + UPPER_WEIGHT * torch.eye(self.upper_parameters, dtype=system.dtype)
        best = torch.linalg.solve(system, self.response.T @ self.target)
        return float(self.hyperobjective(best[None])[0])

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x f, ∂_y f)``."""
        return UPPER_WEIGHT * x, (y @ self.directions.T - self.target) @ self.directions

    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""
        residual = self.curvatures * (y @ self.directions.T - x @ self.response.T)
        return -residual @ self.response, residual @ self.directions

    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = |M x - t|² / 2 + weight |x|² / 2``."""
        miss = x @ self.response.T - self.target
        return 0.5 * (miss.square().sum(-1) + UPPER_WEIGHT * x.square().sum(-1))

    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi(x)``."""
        return (x @ self.response.T - self.target) @ self.response + UPPER_WEIGHT * x

    def pull_back_through_minimiser(
        self, x: Float[Tensor, "replicate upper"], cotangent: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``M^T Q cotangent``, since ``y*(x) = Q^T M x``."""
        return cotangent @ self.directions.T @ self.response

    def implied_upper(
        self, y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``M^† Q y``."""
        inverse: Tensor = torch.linalg.pinv(self.response)
        return y @ self.directions.T @ inverse.T

    def pull_back_through_implied_upper(
        self, cotangent: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``Q^T M^†T cotangent``."""
        inverse: Tensor = torch.linalg.pinv(self.response)
        return cotangent @ inverse @ self.directions

    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(-M^T a Q v, Q^T a Q v)``."""
        weighted = self.curvatures * (vector @ self.directions.T)
        return -weighted @ self.response, weighted @ self.directions

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``argmin_y sigma f + g``, the minimiser nearest the origin; NaN where there is none."""
        if sigma <= -float(self.curvatures.min()):
            return x.new_full((x.shape[0], self.lower_parameters), torch.nan)
        weighted = self.curvatures * (x @ self.response.T) + sigma * self.target
        return weighted / (self.curvatures + sigma) @ self.directions

    def penalised_distance(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        sigma: float,
    ) -> Float[Tensor, " replicate"]:
        """Return the distance of y to ``argmin_y sigma f + g``, free in the null directions."""
        difference = y - self.penalised_minimiser(x, sigma)
        distance: Tensor = (difference @ self.directions.T).norm(dim=-1)
        return distance

    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y)``, whose minimum is 0."""
        miss = y @ self.directions.T - x @ self.response.T
        return 0.5 * (self.curvatures * miss.square()).sum(-1)


def quadratic(
    *, upper: int = 4, lower: int = 6, rank: int = 4, noise: float = 1.0, seed: int = 0
) -> QuadraticProblem:
    """Draw a quadratic bilevel problem with a lower Hessian of deficient rank.

    Parameters
    ----------
    upper, lower
        Dimensions of x and y.
    rank
        Rank of the lower Hessian, less than ``lower``; its positive eigenvalues lie in [0.5, 2].
    noise
        Standard deviation of one sample of a gradient component, at least 0.
    seed
        Seed of the problem's own generator.
    """
    for argument, value in (("upper", upper), ("lower", lower), ("rank", rank)):
        require_positive_integer(argument, value)
    if rank >= lower:
        raise InvalidArgumentError("rank", rank, f"pass less than lower = {lower}")
    # The largest table is a batch of errors: of every component, constant and along each of y.
    argument = "lower" if lower >= upper else "upper"
    require_table(argument, max(lower, upper), (int(upper) + int(lower)) * (1 + int(lower)))
    require_noise(noise)
    require_seed("seed", seed)
    generator = np.random.default_rng([seed, upper, lower, rank])
    orthogonal, _ = np.linalg.qr(generator.standard_normal((lower, lower)))
    return QuadraticProblem(
        name=f"quadratic({upper}, {lower}, rank {rank}, seed {seed})",
        upper_parameters=upper,
        lower_parameters=lower,
        noise=float(noise),
        curvatures=torch.from_numpy(np.geomspace(0.5, 2.0, rank)),
        directions=torch.from_numpy(orthogonal[:rank].copy()),
        response=torch.from_numpy(generator.standard_normal((rank, upper)) / np.sqrt(upper)),
        target=torch.from_numpy(generator.standard_normal(rank)),
    )
