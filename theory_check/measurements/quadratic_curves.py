"""Inner loops of the penalty method on a quadratic, whose constants are known, beside their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError, shortened
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import kind_of
from theory_check.measurements.units import Units, columns
from theory_check.oracles.closed_form import ClosedFormOracle
from theory_check.oracles.quadratic_constants import (
    growth_constant,
    joint_smoothness,
    penalised_smoothness,
    sharp_error_factor,
    sharp_motion_factor,
    span_distance,
    upper_pull,
)
from theory_check.oracles.starts import initial_upper
from theory_check.problems import Problem
from theory_check.problems.quadratic import QuadraticProblem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

QUADRATIC = Need(
    "a quadratic problem, whose constants are known",
    lambda problem: isinstance(problem, QuadraticProblem),
    kind_of,
    "name a problem of family 'quadratic'",
)
RESOLVED = 1e6 * 2.0**-52
"""Distances below this, relative to the size of the iterates, are not told from rounding."""

PLANTED_SHARE = 0.9
"""A wrong constant is this share of the smallest right one, on a problem of one coordinate."""


@dataclass(frozen=True)
class InnerErrorCurve(Measurement):
    """``‖g_hat - ∇Phi_sigma‖²`` after K exact inner steps from unsolved starts, and its bound.

    ``docs/theory.md`` section 5.13: with the step ``1/(2 L_g)`` at most ``8 L_g² sigma^-2 exp(-mu K/(4
    L_g)) D``, D the sum of the squared distances of the two starts to their minimisers. Both are
    displaced by the same normal numbers in opposite directions, where their errors add up. Rows have
    columns ``seed, sigma, inner_iteration, inner_error`` (squared norm), ``bound``, ``planted_bound``
    (``PLANTED_SHARE`` of what the closed form says is the largest error, NaN with more than one
    coordinate), ``distance`` (``‖y_sigma - y*‖``), ``distance_bound`` (``‖∂_y f(x, y*)‖ sigma/mu``),
    ``planted_distance`` (half of it).

    Parameters
    ----------
    inner_steps
        Numbers K of inner steps.
    sigmas
        Penalty parameters, at most ``mu/2``.
    point_scale
        Standard deviation of x.
    """

    kind: ClassVar[str] = "inner-error-curve"
    units: ClassVar[Units] = columns(
        inner="inner_iteration",
        squared="inner_error bound planted_bound",
        length="distance distance_bound planted_distance",
    )
    needs: ClassVar[tuple[Need, ...]] = (QUADRATIC,)

    inner_steps: tuple[PositiveInteger, ...]
    sigmas: tuple[Positive, ...]
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, sigma and K."""
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        return self._measure(_quadratic(problem), seeds, progress)

    def _measure(
        self, problem: QuadraticProblem, seeds: Sequence[int], progress: Progress
    ) -> pd.DataFrame:
        mu, smooth = _constants(problem, self.sigmas)
        oracle = ClosedFormOracle(problem)
        x = initial_upper(seeds, problem.upper_parameters, self.point_scale)
        shift = torch.from_numpy(
            np.stack(standard_normals("unsolved inner starts", seeds, problem.lower_parameters))
        )
        frames = []
        for done, sigma in enumerate(self.sigmas, start=1):
            solved, penalised = problem.lower_minimiser(x), problem.penalised_minimiser(x, sigma)
            start = _state(x, solved + shift, penalised - shift)
            distances = _distances(problem, start, sigma)
            moved = span_distance(problem, solved, penalised)
            allowed = upper_pull(problem, x) * sigma / mu
            for steps in self.inner_steps:
                solver = _solver(sigma, steps, 1 / (2 * smooth), step_size=1.0)
                error = solver.step(oracle, start).estimate - problem.surrogate_gradient(x, sigma)
                rate = np.exp(-mu * steps / (4 * smooth))
                planted = np.nan
                if len(problem.curvatures) == 1:
                    planted = sharp_error_factor(problem, sigma, steps, solver.inner_step_size)
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "sigma": sigma,
                            "inner_iteration": steps,
                            "inner_error": error.square().sum(-1).numpy(),
                            "bound": (8 * (smooth / sigma) ** 2 * rate * distances).numpy(),
                            "planted_bound": (
                                PLANTED_SHARE * planted * distances / sigma**2
                            ).numpy(),
                            "distance": moved.numpy(),
                            "distance_bound": allowed.numpy(),
                            "planted_distance": (allowed / 2).numpy(),
                        }
                    )
                )
            progress(done, len(self.sigmas))
        return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class WarmStartCurve(Measurement):
    """How far warm-started inner loops are from their moving minimisers, and the bound on it.

    ``docs/theory.md`` section 5.13: with exact gradients, the step ``1/(2 L_g)`` and ``K >= 8 L_g/mu``
    inner steps, ``D_{t+1} <= D_t/2 + 34 (L_g/mu)² ‖x_{t+1} - x_t‖²``, D the sum of the squared
    distances of both iterates to their minimisers before the inner steps. The outer step is the inverse
    smoothness of ``Phi_sigma``, and the loops start at their minimisers. Rows have columns ``seed,
    iteration, distances`` (``D_{t+1}``), ``bound``, ``planted_bound``, with ``PLANTED_SHARE`` of what
    the closed form says is the smallest coefficient of the motion (NaN with more than one coordinate),
    and ``resolved``, whether the distances are above ``RESOLVED``.

    Parameters
    ----------
    sigma
        Penalty parameter, at most ``mu/2``.
    iterations
        Outer iterations.
    initial_scale
        Standard deviation of the initial x.
    """

    kind: ClassVar[str] = "warm-start-curve"
    units: ClassVar[Units] = columns(
        iterations="iteration", squared_length="distances bound planted_bound", flag="resolved"
    )
    needs: ClassVar[tuple[Need, ...]] = (QUADRATIC,)

    sigma: Positive
    iterations: PositiveInteger
    initial_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and iteration."""
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        return self._measure(_quadratic(problem), seeds, progress)

    def _measure(
        self, problem: QuadraticProblem, seeds: Sequence[int], progress: Progress
    ) -> pd.DataFrame:
        mu, smooth = _constants(problem, (self.sigma,))
        oracle = ClosedFormOracle(problem)
        steps = int(np.ceil(8 * smooth / mu))
        outer = 1 / penalised_smoothness(problem, self.sigma)
        solver = _solver(self.sigma, steps, 1 / (2 * smooth), outer)
        x = initial_upper(seeds, problem.upper_parameters, self.initial_scale)
        state = _state(x, problem.lower_minimiser(x), problem.penalised_minimiser(x, self.sigma))
        coefficient = 34 * (smooth / mu) ** 2
        planted = np.nan
        if len(problem.curvatures) == 1:
            planted = PLANTED_SHARE * sharp_motion_factor(problem, self.sigma)
        frames = []
        for iteration in range(1, self.iterations + 1):
            before = _distances(problem, state, self.sigma)
            state = solver.step(oracle, state)
            moved = (state.next_upper - state.upper).square().sum(-1)
            following = replace(state, upper=state.next_upper)
            distances = _distances(problem, following, self.sigma)
            size = following.lower.abs().amax(-1).clamp_min(1.0)
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "iteration": iteration,
                        "distances": distances.numpy(),
                        "bound": (before / 2 + coefficient * moved).numpy(),
                        "planted_bound": (before / 2 + planted * moved).numpy(),
                        "resolved": (distances >= (RESOLVED * size).square()).numpy(),
                    }
                )
            )
            state = following
            progress(iteration, self.iterations)
        return pd.concat(frames, ignore_index=True)


def _quadratic(problem: object) -> QuadraticProblem:
    """Return a problem that has passed :data:`QUADRATIC`."""
    assert isinstance(problem, QuadraticProblem)
    return problem


def _constants(problem: QuadraticProblem, sigmas: Sequence[float]) -> tuple[float, float]:
    """Return ``mu`` and ``L_g``; refuse a sigma beyond which the bounds are not proved."""
    mu = growth_constant(problem)
    for sigma in sigmas:
        if sigma > mu / 2:
            raise InvalidArgumentError(
                "sigma", shortened(sigma), f"pass at most mu/2 = {mu / 2:g} of this problem"
            )
    return mu, joint_smoothness(problem)


def _solver(sigma: float, steps: int, inner_step_size: float, step_size: float) -> PenaltyBilevel:
    """Return the reference solver; with exact gradients its batches say nothing."""
    return PenaltyBilevel(
        sigma=sigma,
        inner_steps=steps,
        inner_step_size=inner_step_size,
        step_size=step_size,
        trajectories=1,
        pairs=1,
    )


def _state(
    x: Float[Tensor, "replicate upper"],
    lower: Float[Tensor, "replicate lower"],
    penalised: Float[Tensor, "replicate lower"],
) -> PenaltyState:
    return replace(PenaltyState.start(x, lower), lower_penalised=penalised)


def _distances(
    problem: QuadraticProblem, state: PenaltyState, sigma: float
) -> Float[Tensor, " replicate"]:
    """Return D: squared distances of both iterates to their minimisers at ``state.upper``."""
    solved = problem.lower_minimiser(state.upper)
    penalised = problem.penalised_minimiser(state.upper, sigma)
    first = span_distance(problem, state.lower, solved)
    second = span_distance(problem, state.lower_penalised, penalised)
    return first.square() + second.square()
