"""The penalised lower level without enumeration, minimised by its gradients alone.

Limited-memory BFGS in the metric of the lower level at its optimum, which is block-diagonal: the Hessian
of ``J* - J`` there is ``beta`` times the discounted occupancy of a row times its Fisher information. The
Hessian of the whole differs from it by one of order ``sigma``, so that few steps are needed where
``sigma`` is small.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.oracles.comparisons.upper import UpperObjective
from theory_check.oracles.solutions.level import (
    PenalisedLowerLevel,
    PenalisedSolution,
    to_logits,
    tolerance,
)

MAXIMUM_ITERATIONS = 400
MEMORY = 20
HALVINGS = 40
SUFFICIENT = 1e-4
# Below this gradient norm values differ by rounding, and a smaller gradient is the proof.
FLAT = 1e-5


@dataclass(frozen=True, eq=False, kw_only=True)
class SummedPenalisedLevel(PenalisedLowerLevel):
    """The level by any way to the upper objective; no Hessian is formed.

    Attributes
    ----------
    upper
        The upper objective.
    """

    upper: UpperObjective

    def value(self, log_policy: Float[Tensor, "replicate h s a"]) -> Float[Tensor, " replicate"]:
        """Return ``sigma G + (J* - J)``."""
        return self.value_and_gradient(log_policy)[0]

    def table_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient in the entries of the log-policy table, along policies."""
        upper = self.upper.evaluate(self.reward, log_policy).policy_gradient
        return self.sigma * upper + self.control.gap_gradient(log_policy, self.optimal)

    def value_and_gradient(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> tuple[Float[Tensor, " replicate"], Float[Tensor, "replicate h s a"]]:
        """Return the value and the gradient in the logits, from one evaluation."""
        found = self.upper.evaluate(self.reward, log_policy)
        value = self.sigma * found.value + self.control.lower_gap(log_policy, self.optimal)
        along = self.control.gap_gradient(log_policy, self.optimal)
        table = self.sigma * found.policy_gradient + along
        return value, to_logits(log_policy.exp(), table)

    def largest_return(self) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of what is compared."""
        return self.upper.largest_return(self.reward)


def minimise_by_gradients(level: SummedPenalisedLevel) -> PenalisedSolution:
    """Minimise the level from the unpenalised optimum, all replicates side by side."""
    wanted = tolerance(level)
    shape = level.optimal.shape
    at = level.optimal
    value, gradient = level.value_and_gradient(at)
    norm = gradient.flatten(1).norm(dim=-1)
    metric = _Metric(level)
    for _ in range(MAXIMUM_ITERATIONS):
        unsolved = norm > wanted
        if not bool(unsolved.any()):
            break
        direction = metric.direction(gradient.flatten(1)).reshape(shape)
        slope = (gradient * direction).flatten(1).sum(-1)
        length = unsolved.to(norm.dtype)
        accepted = ~unsolved
        for _ in range(HALVINGS):
            trial = level.control.normalised(at + length[:, None, None, None] * direction)
            trial_value, trial_gradient = level.value_and_gradient(trial)
            trial_norm = trial_gradient.flatten(1).norm(dim=-1)
            falls = trial_value <= value + SUFFICIENT * length * slope
            accepted = falls | (trial_norm < 0.9 * norm) & (norm < FLAT) | ~unsolved
            if bool(accepted.all()):
                break
            length = torch.where(accepted, length, 0.5 * length)
        moved = accepted & unsolved
        if not bool(moved.any()):
            break
        rows = moved[:, None, None, None]
        metric.learn((trial - at).flatten(1), (trial_gradient - gradient).flatten(1), moved)
        at, gradient = torch.where(rows, trial, at), torch.where(rows, trial_gradient, gradient)
        value, norm = torch.where(moved, trial_value, value), torch.where(moved, trial_norm, norm)
    return PenalisedSolution(log_policy=at, gradient_norm=norm, certified=norm <= wanted)


class _Metric:
    """Inverse Hessians of all replicates: that of the lower level, and what its steps have taught."""

    def __init__(self, level: SummedPenalisedLevel) -> None:
        curvature = level.control.kl_weight * level.control.discounted_occupancy(level.optimal)
        inverse = torch.where(curvature > 0, 1 / curvature, 0.0)
        self._inverse = torch.where(torch.isfinite(inverse), inverse, 0.0).flatten(1)
        self._steps: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=MEMORY)

    def direction(self, gradient: Float[Tensor, "replicate logit"]) -> Tensor:
        """Return the negative of the inverse Hessian times the gradient: the two-loop recursion."""
        left = gradient.clone()
        shares = []
        for step, change, weight in reversed(self._steps):
            share = weight * (step * left).sum(-1)
            left -= share[:, None] * change
            shares.append(share)
        left = self._inverse * left
        for (step, change, weight), share in zip(self._steps, reversed(shares), strict=True):
            left += (share - weight * (change * left).sum(-1))[:, None] * step
        return -left

    def learn(
        self,
        step: Float[Tensor, "replicate logit"],
        change: Float[Tensor, "replicate logit"],
        moved: Bool[Tensor, " replicate"],
    ) -> None:
        """Remember steps along which the level is convex; others teach nothing."""
        along = (step * change).sum(-1)
        size = step.norm(dim=-1) * change.norm(dim=-1)
        useful = moved & (along > 1e-12 * size)
        weight = torch.where(useful, 1 / along, 0.0)
        self._steps.append((step, change, torch.where(torch.isfinite(weight), weight, 0.0)))
