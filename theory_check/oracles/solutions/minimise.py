"""Minimisers of the penalised lower level: by Newton's method where Hessians are formed."""

from __future__ import annotations

import torch

from theory_check.oracles.solutions.level import (
    PenalisedLowerLevel,
    PenalisedSolution,
    tolerance,
)
from theory_check.oracles.solutions.newton import damped_solve
from theory_check.oracles.solutions.penalised import EnumeratedPenalisedLevel
from theory_check.oracles.solutions.quasi_newton import SummedPenalisedLevel, minimise_by_gradients

MAXIMUM_ITERATIONS = 200
HESSIAN_BYTES = 128 * 2**20


def minimise_penalised(level: PenalisedLowerLevel) -> PenalisedSolution:
    """Minimise the level from the unpenalised optimum.

    Started there, the method follows the branch of minimisers that leaves ``lambda*`` as ``sigma``
    grows from 0, which is the one the penalty reformulation is about. Where Hessians are formed,
    replicates are taken in groups whose Hessians stay under ``HESSIAN_BYTES``.
    """
    if isinstance(level, SummedPenalisedLevel):
        return minimise_by_gradients(level)
    assert isinstance(level, EnumeratedPenalisedLevel)
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


def _minimise(level: EnumeratedPenalisedLevel) -> PenalisedSolution:
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
            trial = level.control.normalised(
                log_policy + (length[:, None] * direction).reshape(log_policy.shape)
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
