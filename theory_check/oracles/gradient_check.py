"""Somebody's own hypergradient beside the exact one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.arrays import as_floats
from theory_check.errors import (
    InvalidArgumentError,
    require_callable,
    require_positive_integer,
    require_scale,
    require_seed,
    require_table,
)
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.numerics import Parameters
from theory_check.problems import Problem


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """A hypergradient estimate at some points, and the exact one there.

    Attributes
    ----------
    points
        Reward parameters, shape (points, d).
    exact, estimate
        Shape (points, d).
    """

    points: Float[Tensor, "points d"]
    exact: Float[Tensor, "points d"]
    estimate: Float[Tensor, "points d"]

    @property
    def relative_error(self) -> Float[Tensor, " points"]:
        """``‖estimate - exact‖ / ‖exact‖``; infinite where only the exact gradient is zero."""
        return _norm(self.estimate - self.exact) / _norm(self.exact)

    @property
    def cosine(self) -> Float[Tensor, " points"]:
        """Cosine of the angle between the two."""
        product = (self.estimate * self.exact).sum(-1)
        return product / (_norm(self.estimate) * _norm(self.exact))

    def __str__(self) -> str:
        """Say how far apart they are."""
        errors, cosines = self.relative_error, self.cosine
        return (
            f"{len(errors)} points: relative error {errors.min():.2g} to {errors.max():.2g}, "
            f"median {errors.median():.2g}; cosine {cosines.min():.4f} to {cosines.max():.4f}"
        )


def check_hypergradient(
    problem: Problem,
    estimate: Callable[[Float[Tensor, " d"]], Any],
    *,
    points: Parameters | None = None,
    count: int = 8,
    scale: float = 1.0,
    seed: int = 0,
) -> GradientCheck:
    """Compare an estimate of ``∇Phi`` with the exact hypergradient.

    An estimate without the response of the lower level, the commonest error, has relative errors of
    order 1 and cosines below 1; a penalty method of weight sigma has errors of order sigma.

    Parameters
    ----------
    problem
        The problem, with its own reward class and the tabular policy class.
    estimate
        Maps reward parameters, shape (d,), float64, to a gradient of that shape.
    points
        Where to compare, shape (points, d); drawn when None.
    count, scale, seed
        Number of normal points, their standard deviation, and their seed.

    Raises
    ------
    InvalidArgumentError
        For an estimate of another shape or with entries that are not finite.
    """
    require_callable("estimate", estimate)
    require_positive_integer("count", count)
    require_scale("scale", scale)
    require_seed("seed", seed)
    oracle = ExactOracle(problem)
    dimension = oracle.reward_model.parameters
    require_table("count", count, int(count) * dimension)
    if points is None:
        generator = torch.Generator().manual_seed(seed % 2**63)
        given = scale * torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    else:
        given = torch.from_numpy(as_floats("points", points))
        if given.ndim != 2 or given.shape[1] != dimension or not len(given):
            raise InvalidArgumentError(
                "points", f"shape {tuple(given.shape)}", f"pass shape (points, {dimension})"
            )
    exact = oracle.hypergradient(given)
    found = [_one(estimate(point.clone()), dimension) for point in given]
    return GradientCheck(given, exact, torch.stack(found))


def _norm(rows: Float[Tensor, "points d"]) -> Float[Tensor, " points"]:
    return rows.square().sum(-1).sqrt()


def _one(gradient: Any, dimension: int) -> Float[Tensor, " d"]:
    remedy = f"return {dimension} finite numbers, the gradient in phi"
    values = torch.from_numpy(as_floats("estimate", gradient, remedy))
    if tuple(values.shape) != (dimension,):
        raise InvalidArgumentError("estimate", f"shape {tuple(values.shape)}", remedy)
    if not bool(torch.isfinite(values).all()):
        raise InvalidArgumentError("estimate", "entries that are not finite", remedy)
    return values
