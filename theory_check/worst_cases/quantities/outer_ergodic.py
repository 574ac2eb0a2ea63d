"""How long exact descent needs to a small gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory_check.claims.outer_loop import OUTER_ERGODIC
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.solutions.curvature import (
    DIFFERENCE_STEP,
    spectral_norm_of_hessian,
)
from theory_check.problems import Problem
from theory_check.worst_cases.base import Evaluation, WorstCase, ball_points

TARGET = 1e-4
STARTS = 4
CURVATURE_POINTS = 24
# Runs that need longer count as this long; the details say so.
LONGEST = 4000
# Differences of values in the second route: they err by step² / 6 times a third derivative, a share of
# some 1e-7 at beta = 0.05, and by rounding, 1e-16 / step.
VALUE_STEP = 1e-5
# Curvatures are looked at this often along a path; odd, so that no cycle of two points hides one.
LOOK_EVERY = 7
# Where a path meets a larger curvature than L, L becomes that much times it, and all runs start again.
RAISE = 1.05
ROUNDS = 40

GradientAt = Callable[[Tensor], Tensor]
CurvatureAt = Callable[[Tensor], float]


@dataclass(frozen=True, eq=False)
class Descent:
    """Gradient descent from several starts, until the second half of every run is accurate.

    Attributes
    ----------
    iterations
        First number of iterations at which the mean of ``‖∇Phi‖²`` over their second half is at most
        the target, shape (start,); the longest allowed where it never was.
    squared_norms
        ``‖∇Phi(phi_t)‖²``, shape (iteration, start).
    smoothness
        L, at least the curvature that was met on the paths; the step was ``1/L``.
    """

    iterations: Tensor
    squared_norms: Tensor
    smoothness: float


def descend(
    gradient: GradientAt,
    curvature: CurvatureAt,
    start: Tensor,
    smoothness: float,
    *,
    target: float,
    longest: int,
) -> Descent | None:
    """Run ``phi <- phi - ∇Phi(phi) / L`` until every start has met the target, or ``longest``.

    Returns None where the curvature met on the paths kept growing with L.
    """
    for _ in range(ROUNDS):
        if not 0 < smoothness < math.inf:
            return None
        met = _run(gradient, curvature, start, smoothness, target, longest)
        if isinstance(met, Descent):
            return met
        smoothness = RAISE * met
    return None


def _run(
    gradient: GradientAt,
    curvature: CurvatureAt,
    start: Tensor,
    smoothness: float,
    target: float,
    longest: int,
) -> Descent | float:
    """Return the runs, or a curvature larger than ``smoothness`` that they met."""
    phi, norms = start, []
    sums = [start.new_zeros(start.shape[0])]
    iterations = torch.full((start.shape[0],), longest)
    waiting = torch.ones(start.shape[0], dtype=torch.bool)
    for done in range(1, longest + 1):
        if done % LOOK_EVERY == 1 and (found := curvature(phi)) > smoothness:
            return found
        slope = gradient(phi)
        norms.append((slope * slope).sum(-1))
        sums.append(sums[-1] + norms[-1])
        second_half = (sums[done] - sums[done // 2]) / (done - done // 2)
        met = waiting & (second_half <= target)
        iterations = torch.where(met, done, iterations)
        waiting = waiting & ~met
        if not bool(waiting.any()):
            break
        phi = phi - slope / smoothness
    return Descent(iterations, torch.stack(norms), smoothness)


def _evaluate(exact: ExactOracle, gradient: GradientAt, difference_step: float) -> Evaluation:
    points = ball_points(CURVATURE_POINTS, exact.problem.parameters)
    starts = points[:STARTS]

    def curvature(at: Tensor) -> float:
        norms = spectral_norm_of_hessian(lambda phi, _: gradient(phi), at, difference_step)
        return norms.max().item()

    found = descend(gradient, curvature, starts, curvature(points), target=TARGET, longest=LONGEST)
    if found is None:
        return Evaluation(math.nan, kept=False)
    # With step 1/L, sum_t ‖∇Phi(phi_t)‖² <= 2 L (Phi(phi_0) - Phi*), and Phi* >= 0.
    bound = 2 * found.smoothness * exact.hyperobjective(starts)
    used = (found.squared_norms.sum(0) / bound).max().item()
    iterations = int(found.iterations.max())
    return Evaluation(
        value=float(iterations),
        kept=used <= 1,
        details={
            "kl_weight": exact.problem.kl_weight,
            "smoothness": found.smoothness,
            "iterations": tuple(float(each) for each in found.iterations),
            "reached": float(iterations < LONGEST),
            "share_of_bound": used,
            "bound_on_iterations": (bound.max() / TARGET).item(),
        },
    )


def _measure(problem: Problem) -> Evaluation:
    exact = ExactOracle(problem)
    return _evaluate(exact, exact.hypergradient, DIFFERENCE_STEP)


def _confirm(problem: Problem) -> Evaluation:
    """Descend with differences of values instead of the adjoint; curvatures at half the step."""
    exact = ExactOracle(problem)
    shifts = VALUE_STEP * torch.eye(problem.parameters, dtype=torch.float64)

    def gradient(phi: Tensor) -> Tensor:
        ahead, behind = phi[:, None] + shifts, phi[:, None] - shifts
        values = exact.hyperobjective(torch.stack([ahead, behind]))
        return (values[0] - values[1]) / (2 * VALUE_STEP)

    return _evaluate(exact, gradient, DIFFERENCE_STEP / 2)


WORST_CASE = WorstCase(
    id="outer-ergodic",
    claim=OUTER_ERGODIC.id,
    quantity=(
        f"iterations of exact descent with step 1/L until the mean of ‖∇Phi‖² over the second half is at "
        f"most {TARGET:g}, the slowest of {STARTS} starts in the unit ball; L the largest ‖∇²Phi‖ at "
        f"{CURVATURE_POINTS} points of it and along the runs"
    ),
    unit="iterations",
    worse="descent is slower",
    predicted=("sum_t ‖∇Phi(phi_t)‖² <= 2 L Phi(phi_0) for every start, Phi* being at least 0"),
    families=("bandit", "garnet", "tabular"),
    measure=_measure,
    confirm=_confirm,
    tolerance=0.02,
)
