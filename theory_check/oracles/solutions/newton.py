"""Minimisers of smooth functions whose Hessian may be singular or indefinite, batched.

Newton's method with the Hessian's eigenvalues replaced by ``|eigenvalue| + c ‖gradient‖``. The shift
vanishes with the gradient, so that convergence stays fast where minimisers form a manifold (Li,
Fukushima, Qi and Yamashita, Computational Optimization and Applications 28, 2004); the absolute value
makes every step one of descent, away from saddles (Dauphin et al., NeurIPS 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.oracles.solutions.curvature import Gradient, hessian

Value = Callable[[Float[Tensor, "point d"], Int[Tensor, " point"]], Float[Tensor, " point"]]
"""A function at points, given to which replicate each of them belongs."""

MAXIMUM_ITERATIONS = 100
ATTEMPTS = 24
SUFFICIENT = 1e-4
# Below this share of the value its differences are rounding, and the gradient decides instead.
RESOLVED = 1e-11


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended.

    Attributes
    ----------
    at
        The points, shape (replicate, d).
    gradient_norm
        Euclidean norm of the gradient there, shape (replicate,).
    """

    at: Float[Tensor, "replicate d"]
    gradient_norm: Float[Tensor, " replicate"]


def descend(
    value: Value, gradient: Gradient, start: Float[Tensor, "replicate d"], steps: int
) -> Float[Tensor, "replicate d"]:
    """Return the points after ``steps`` steps of gradient descent.

    Each replicate starts with the step 1 and halves it whenever its value would rise.
    """
    owner = torch.arange(start.shape[0], device=start.device)
    at, current = start, value(start, owner)
    length = torch.ones_like(current)
    for _ in range(steps):
        trial = at - length[:, None] * gradient(at, owner)
        reached = value(trial, owner)
        falls = reached <= current
        at = torch.where(falls[:, None], trial, at)
        current = torch.where(falls, reached, current)
        length = torch.where(falls, length, length / 2)
    return at


def minimise(
    value: Value,
    gradient: Gradient,
    start: Float[Tensor, "replicate d"],
    wanted: Float[Tensor, " replicate"],
) -> Minimum:
    """Minimise from ``start`` until the gradient norm is at most ``wanted``.

    A replicate whose steps no longer improve anything is left where it is.

    Parameters
    ----------
    value, gradient
        The function and its exact gradient; Hessians are central differences of the latter.
    start
        One point for each replicate, shape (replicate, d).
    wanted
        Gradient norm at which a replicate is finished, shape (replicate,).
    """
    everyone = torch.arange(start.shape[0], device=start.device)
    at = start.clone()
    current = value(at, everyone)
    slope = gradient(at, everyone)
    norm = slope.norm(dim=-1)
    shift = torch.ones_like(norm)
    improving = torch.isfinite(norm) & torch.isfinite(current)
    for _ in range(MAXIMUM_ITERATIONS):
        open_ = (improving & (norm > wanted)).nonzero().squeeze(-1)
        if not len(open_):
            break

        def local(points: Tensor, owner: Tensor, open_: Tensor = open_) -> Tensor:
            return gradient(points, open_[owner])

        curvature = hessian(local, at[open_])
        finite = torch.isfinite(curvature).flatten(1).all(-1)
        eigenvalues, vectors = torch.linalg.eigh(
            torch.where(finite[:, None, None], curvature, torch.zeros_like(curvature))
        )
        along = (vectors.mT @ slope[open_][..., None]).squeeze(-1)
        pending = finite
        for _ in range(ATTEMPTS):
            damped = eigenvalues.abs() + (shift * norm)[open_][:, None]
            step = -(vectors @ (along / damped)[..., None]).squeeze(-1)
            trial = at[open_] + step
            reached, steepness = value(trial, open_), gradient(trial, open_)
            trial_norm = steepness.norm(dim=-1)
            expected = (along.square() / damped).sum(-1)
            accepted = pending & _accept(current[open_], reached, expected, norm[open_], trial_norm)
            chosen = open_[accepted]
            at[chosen], current[chosen] = trial[accepted], reached[accepted]
            slope[chosen], norm[chosen] = steepness[accepted], trial_norm[accepted]
            shift[chosen] = (shift[chosen] / 4).clamp_min(1e-6)
            pending = pending & ~accepted
            if not bool(pending.any()):
                break
            shift[open_[pending]] *= 4
        improving[open_[pending | ~finite]] = False
    return Minimum(at=at, gradient_norm=norm)


def _accept(
    current: Float[Tensor, " open"],
    reached: Float[Tensor, " open"],
    expected: Float[Tensor, " open"],
    norm: Float[Tensor, " open"],
    trial_norm: Float[Tensor, " open"],
) -> Bool[Tensor, " open"]:
    """Return which steps improve the value or, where it is flat to rounding, the gradient."""
    falls = reached <= current - SUFFICIENT * expected
    flat = expected <= RESOLVED * current.abs()
    return torch.where(flat, trial_norm < norm, falls)


def damped_solve(
    matrix: Float[Tensor, "replicate d d"],
    right: Float[Tensor, "replicate d"],
    damping: Float[Tensor, " replicate"],
) -> Float[Tensor, "replicate d"]:
    """Return ``(matrix + c damping I)^-1 right`` with the smallest power of ten c that is definite.

    Parameters
    ----------
    matrix
        Symmetric matrices. No damping repairs one that is not finite: its solution is not finite
        either.
    right
        Right-hand sides.
    damping
        Smallest damping of each replicate, > 0.
    """
    finite = torch.isfinite(matrix).flatten(1).all(-1)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    while True:
        factor, info = torch.linalg.cholesky_ex(matrix + damping[:, None, None] * identity)
        indefinite = (info > 0) & finite
        if not bool(indefinite.any()):
            return torch.cholesky_solve(right[..., None], factor).squeeze(-1)
        damping = torch.where(indefinite, 10 * damping, damping)
