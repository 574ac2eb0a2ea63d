"""The penalised lower level without enumeration, minimised by its gradients alone.

Limited-memory BFGS in the metric of the lower level at its optimum, which is block-diagonal: the Hessian
of ``J* - J`` there is ``beta`` times the discounted occupancy of a row times its Fisher information. The
Hessian of the whole differs from it by one of order ``sigma``, so that few steps are needed where
``sigma`` is small.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
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
STEEPER = 0.9
# Up to this many tolerances steps that do not help have met rounding.
NEAR = 30.0


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

    def rows(self, replicates: slice) -> SummedPenalisedLevel:
        """Return the same level for some of the replicates."""
        return replace(self, reward=self.reward[replicates], optimal=self.optimal[replicates])

    def largest_return(self) -> Float[Tensor, " replicate"]:
        """Return the largest size of a return of what is compared."""
        return self.upper.largest_return(self.reward)


def minimise_by_gradients(level: SummedPenalisedLevel) -> PenalisedSolution:
    """Minimise the level from the unpenalised optimum, replicate by replicate.

    An evaluation costs as much for each of them, so that none is gained by taking them together.
    """
    replicates = range(level.optimal.shape[0])
    parts = [_minimise(level.rows(slice(each, each + 1))) for each in replicates]
    return PenalisedSolution(
        log_policy=torch.cat([part.log_policy for part in parts]),
        gradient_norm=torch.cat([part.gradient_norm for part in parts]),
        certified=torch.cat([part.certified for part in parts]),
    )


def _minimise(level: SummedPenalisedLevel) -> PenalisedSolution:
    wanted = tolerance(level).item()
    at = level.optimal
    value, gradient, norm = _evaluated(level, at)
    metric = _Metric(level)
    for _ in range(MAXIMUM_ITERATIONS):
        if not norm > wanted:
            break
        direction = metric.direction(gradient)
        slope = (gradient * direction).sum().item()
        length, accepted = 1.0, False
        for halving in range(HALVINGS):
            trial = level.control.normalised(at + length * direction)
            trial_value, trial_gradient, trial_norm = _evaluated(level, trial)
            falls = trial_value <= value + SUFFICIENT * length * slope
            accepted = falls or (trial_norm < STEEPER * norm and norm < FLAT)
            if accepted or (halving > 3 and norm < NEAR * wanted):
                break
            length /= 2
        if not accepted and not metric.forget():
            break
        if not accepted:
            continue
        metric.learn(trial - at, trial_gradient - gradient)
        at, value, gradient, norm = trial, trial_value, trial_gradient, trial_norm
    return PenalisedSolution(
        log_policy=at,
        gradient_norm=at.new_tensor([norm]),
        certified=torch.tensor([norm <= wanted], device=at.device),
    )


def _evaluated(level: SummedPenalisedLevel, at: Tensor) -> tuple[float, Tensor, float]:
    value, gradient = level.value_and_gradient(at)
    return value.item(), gradient, gradient.norm().item()


class _Metric:
    """An inverse Hessian: that of the lower level, and what the steps of its minimisation taught."""

    def __init__(self, level: SummedPenalisedLevel) -> None:
        curvature = level.control.kl_weight * level.control.discounted_occupancy(level.optimal)
        inverse = torch.where(curvature > 0, 1 / curvature, 0.0)
        self._inverse = torch.where(torch.isfinite(inverse), inverse, 0.0)
        self._steps: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=MEMORY)

    def direction(self, gradient: Float[Tensor, "1 h s a"]) -> Float[Tensor, "1 h s a"]:
        """Return the negative of the inverse Hessian times the gradient: the two-loop recursion."""
        left = gradient.clone()
        shares = []
        for step, change, along in reversed(self._steps):
            share = (step * left).sum().item() / along
            left -= share * change
            shares.append(share)
        left = self._inverse * left
        for (step, change, along), share in zip(self._steps, reversed(shares), strict=True):
            left += (share - (change * left).sum().item() / along) * step
        return -left

    def forget(self) -> bool:
        """Forget what steps taught, where they mislead; return whether there was anything."""
        known = bool(self._steps)
        self._steps.clear()
        return known

    def learn(self, step: Float[Tensor, "1 h s a"], change: Float[Tensor, "1 h s a"]) -> None:
        """Remember a step along which the level is convex; others teach nothing."""
        along = (step * change).sum().item()
        if along > 1e-12 * (step.norm() * change.norm()).item():
            self._steps.append((step, change, along))
