"""``min_lambda sigma G + g`` in logits, by a safeguarded Newton method (``docs/theory.md`` section 3).

Gradient and Hessian are analytic; steps are damped until the Hessian is positive definite and shortened
until the objective falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import require_finite, require_scale
from theory_check.oracles.solutions.newton import damped_solve
from theory_check.oracles.solutions.penalised_levels import (
    DiscountedPenalisedLevel,
    EpisodicPenalisedLevel,
    PenalisedLowerLevel,
)

__all__ = [
    "SMALLEST_SIGMA",
    "DiscountedPenalisedLevel",
    "EpisodicPenalisedLevel",
    "PenalisedLowerLevel",
    "PenalisedSolution",
    "minimise_penalised",
    "require_penalty",
    "tolerance",
]

GRADIENT_TOLERANCE = 1e-11
# What double precision leaves of a gradient of order 1.
SMALLEST_TOLERANCE = 1e-14
SMALLEST_SIGMA = 1e-7
MAXIMUM_ITERATIONS = 200
HESSIAN_BYTES = 128 * 2**20


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
    returns = level.comparisons.space.class_returns(level.reward).abs().amax(-1)
    size = abs(level.sigma)
    scale = returns.clamp_min(max(1.0, level.control.kl_weight, size))
    relative = max(GRADIENT_TOLERANCE * min(size, 1.0), SMALLEST_TOLERANCE)
    return relative * scale


def minimise_penalised(level: PenalisedLowerLevel) -> PenalisedSolution:
    """Minimise the level from the unpenalised optimum.

    Started there, the method follows the branch of minimisers that leaves ``lambda*`` as ``sigma``
    grows from 0, which is the one the penalty reformulation is about. Replicates are taken in
    groups whose Hessians stay under ``HESSIAN_BYTES``.
    """
    replicates = level.optimal.shape[0]
    together = max(1, HESSIAN_BYTES // (8 * level.comparisons.space.table_size**2))
    parts = [
        _minimise(level.rows(slice(first, first + together)))
        for first in range(0, replicates, together)
    ]
    return PenalisedSolution(
        log_policy=torch.cat([part.log_policy for part in parts]),
        gradient_norm=torch.cat([part.gradient_norm for part in parts]),
        certified=torch.cat([part.certified for part in parts]),
    )


def _minimise(level: PenalisedLowerLevel) -> PenalisedSolution:
    wanted = tolerance(level)
    log_policy = level.optimal
    value = level.value(log_policy)
    gradient = level.gradient(log_policy).flatten(1)
    norm = gradient.norm(dim=-1)
    for _ in range(MAXIMUM_ITERATIONS):
        unsolved = norm > wanted
        if not bool(unsolved.any()):
            break
        hessian = level.hessian(log_policy)
        # A constant shift of a row of logits, and steps that cannot be reached, are exact null
        # directions of both sides, so the damping does not bias the step along them.
        scale = hessian.diagonal(dim1=-2, dim2=-1).abs().amax(-1).clamp_min(1e-300)
        direction = -damped_solve(hessian, gradient, 1e-12 * scale)
        slope = (gradient * direction).sum(-1)
        length = unsolved.to(norm.dtype)
        for halvings in range(40):
            trial = torch.log_softmax(
                log_policy + (length[:, None] * direction).reshape(log_policy.shape), dim=-1
            )
            trial_value = level.value(trial)
            trial_gradient = level.gradient(trial).flatten(1)
            trial_norm = trial_gradient.norm(dim=-1)
            # Near the optimum h_sigma is flat to rounding; a smaller gradient is then the proof.
            falls = trial_value <= value + 1e-4 * length * slope
            accepted = falls | (trial_norm < 0.5 * norm) & (norm < 1e-5) | (length == 0)
            if bool((accepted | (norm < 1e-9) & (halvings > 3)).all()):
                break
            length = torch.where(accepted, length, 0.5 * length)
        moved = accepted & unsolved
        if not bool(moved.any()):
            break
        # The same tensor where it can be: what is known at it then is not computed again.
        everyone = bool(moved.all())
        log_policy = (
            trial if everyone else torch.where(moved[:, None, None, None], trial, log_policy)
        )
        value = torch.where(moved, trial_value, value)
        gradient = torch.where(moved[:, None], trial_gradient, gradient)
        norm = torch.where(moved, trial_norm, norm)
    return PenalisedSolution(log_policy=log_policy, gradient_norm=norm, certified=norm <= wanted)
