"""Measuring the constants of the error model on pilot seeds (``docs/theory.md`` section 8).

Everything but the noise comes from exact information and costs no samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import ceil, isfinite

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import brentq
from torch import Tensor

from theory_check.advice.history import follow
from theory_check.advice.model import (
    PLANNED_QUANTILE,
    PREDICTED_QUANTILE,
    SHARES,
    MeasuredConstants,
    TransientSum,
    penalty_parameter,
)
from theory_check.bilevel import Coupling
from theory_check.errors import CertificationError, InvalidArgumentError
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.oracles.solutions.curvature import require_curvature, spectral_norm_of_hessian
from theory_check.problems import Problem
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

START_SEEDS = range(1_000_000, 1_000_064)
"""Seeds of the pilot starts; far from those of experiments, which count from 0."""

NOISE_SEEDS = START_SEEDS[:16]
"""Those of them whose sampled runs the noise is measured on."""

DESCENT_STEPS = 200
"""Steps of exact descent along which curvatures are looked for."""

LONGEST_RUN = 20_000
"""Iterations of exact information before a target counts as out of reach."""

CHUNK = 100
"""Iterations of exact information between two looks at whether the sum has converged."""

CONVERGED = 1.05
"""A bound on the sum within this factor of the sum so far ends the exact run."""

# The penalty parameter of a run that should have no bias: exact information loses 1e-16 / sigma.
VANISHING_PENALTY = 1e-3
# Where b is measured: small enough for the leading term, large enough for the inner tolerance.
PROBE_PENALTY = 0.03
# Iterations for which noise is left to settle, and over which it is then averaged.
SETTLING, AVERAGING = 50, 150
# The noise is measured at a batch whose stationarity is near this: small against a start, so that
# the term is linear in 1/n, and cheap against the run that is planned.
PILOT_NOISE = 5e-3
SMALLEST_PILOT_BATCH = 100
FIRST_BATCH = 1000
FIRST_AVERAGING = 30


@dataclass(frozen=True, eq=False)
class _Pilot:
    """Instruments and settings that the measurements share."""

    problem: Problem
    start: Float[Tensor, "replicate upper"]
    tools: Instruments
    step_size: float
    inner_step_size: float

    def solver(
        self, inner_steps: int, sigma: float, coupling: Coupling = "shared"
    ) -> PenaltyBilevel:
        """Return the solver with a batch of one, which exact information ignores."""
        return PenaltyBilevel(
            sigma=sigma,
            inner_steps=inner_steps,
            inner_step_size=self.inner_step_size,
            step_size=self.step_size,
            trajectories=1,
            pairs=1,
            coupling=coupling,
        )


def measure_constants(
    problem: Problem,
    epsilon: float,
    initial_scale: float,
    inner_steps: Sequence[int],
    couplings: Sequence[Coupling],
    report: Callable[[str], None],
) -> MeasuredConstants:
    """Measure the constants of the error model.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    epsilon
        Target, which decides how far the exact runs go and at which sigma the noise is measured.
    initial_scale
        Standard deviation of the initial reward parameters.
    inner_steps
        The K to measure.
    couplings
        The couplings to measure.
    report
        Told what is being measured.

    Raises
    ------
    InvalidArgumentError
        If the starts meet the target already, or exact information does not reach it.
    """
    tools = instruments_for(problem, START_SEEDS)
    start = tools.initial_upper(START_SEEDS, initial_scale)
    at_start = tools.truth.hypergradient(start).square().sum(-1).numpy()
    if np.quantile(at_start, PLANNED_QUANTILE) <= epsilon:
        raise InvalidArgumentError(
            "epsilon",
            f"{epsilon:g}, which the starts meet already (‖∇Phi‖² of {at_start.mean():.2g} there)",
            "pass a smaller epsilon or another initial_scale",
        )
    report("curvatures along exact descent")
    path = descend(tools, start)
    outer = largest_curvature(tools, path)
    inner = largest_lower_curvature(tools, path)
    pilot = _Pilot(problem, start, tools, 1 / outer, 1 / inner)
    bias = bias_constant(tools, path[-1])
    transient, ends = {}, {}
    for steps in inner_steps:
        report(f"exact runs with K = {steps}")
        found = _transient(pilot, steps, epsilon)
        if found is not None:
            transient[steps], ends[steps] = found
    if not transient:
        raise InvalidArgumentError(
            "epsilon",
            f"{epsilon:g}, which exact information does not reach in {LONGEST_RUN} iterations "
            f"with K = {', '.join(map(str, inner_steps))}",
            "pass a larger epsilon, larger inner_steps, or a smaller initial_scale",
        )
    noise: dict[Coupling, dict[int, float]] = {}
    drawn = SampleCounts()
    for coupling in couplings:
        noise[coupling] = {}
        sigma = penalty_parameter(epsilon, bias, coupling)
        for steps in transient:
            report(f"sampled runs with K = {steps}, {coupling} batches")
            solver = pilot.solver(steps, sigma, coupling)
            noise[coupling][steps], counts = _noise(pilot, solver, ends[steps])
            drawn += counts
    return MeasuredConstants(outer, inner, transient, bias, noise, drawn)


def descend(
    tools: Instruments, start: Float[Tensor, "replicate upper"]
) -> list[Float[Tensor, "replicate upper"]]:
    """Return points of exact descent from ``start``, step 1/L with L the curvature seen so far."""
    curvature = require_curvature("one", "upper level", largest_curvature(tools, [start]))
    point, path = start, [start]
    for step in range(1, DESCENT_STEPS + 1):
        point = point - tools.truth.hypergradient(point) / curvature
        # Powers of two: the path bends most at its beginning.
        if step & (step - 1) == 0 or step == DESCENT_STEPS:
            path.append(point)
            curvature = max(curvature, largest_curvature(tools, [point]))
    return path


def largest_curvature(
    tools: Instruments, points: Sequence[Float[Tensor, "replicate upper"]]
) -> float:
    """Return the largest spectral norm of ``∇²Phi`` at any of the points."""

    def gradient(
        rows: Float[Tensor, "point upper"], owner: Int[Tensor, " point"]
    ) -> Float[Tensor, "point upper"]:
        return tools.truth.hypergradient(rows)

    return max(_largest("Phi", spectral_norm_of_hessian(gradient, point)) for point in points)


def largest_lower_curvature(
    tools: Instruments, points: Sequence[Float[Tensor, "replicate upper"]]
) -> float:
    """Return the largest spectral norm of ``∇²_{lambda lambda} g``, at the start and the solution.

    The solution is found by descent of g itself, with steps of the reciprocal of that norm.
    """
    lower = tools.initial_lower(START_SEEDS[: points[0].shape[0]])
    largest = 0.0
    for upper in points:

        def gradient(
            rows: Float[Tensor, "point lower"],
            owner: Int[Tensor, " point"],
            upper: Float[Tensor, "replicate upper"] = upper,
        ) -> Float[Tensor, "point lower"]:
            return tools.information.lower_gradient(upper[owner], rows, 1)

        found = _largest("g", spectral_norm_of_hessian(gradient, lower))
        largest = max(largest, require_curvature("one", "lower level", found))
        each = torch.arange(lower.shape[0])
        for _ in range(DESCENT_STEPS // 2):
            lower = lower - gradient(lower, each) / largest
        largest = max(largest, _largest("g", spectral_norm_of_hessian(gradient, lower)))
    return largest


def _largest(of: str, norms: Float[Tensor, " replicate"]) -> float:
    """Return the largest norm, all of which have to be finite."""
    # The maximum of a tensor is NaN where any entry is; that of Python depends on their order.
    largest = float(norms.max())
    if not isfinite(largest):
        raise CertificationError(
            f"the curvature of {of} along exact descent is {largest}, so that no step follows from "
            "it; use a smaller initial_scale"
        )
    return largest


def bias_constant(tools: Instruments, points: Float[Tensor, "replicate upper"]) -> float:
    """Return the mean of ``‖∇Phi_sigma - ∇Phi‖² / sigma²`` over the certified points."""
    surrogate = tools.truth.surrogate_gradient(points, PROBE_PENALTY)
    squared = (surrogate - tools.truth.hypergradient(points)).square().sum(-1)
    mean = float(squared.nanmean() / PROBE_PENALTY**2)
    if not isfinite(mean):
        raise CertificationError(
            f"the penalty bias at sigma = {PROBE_PENALTY} is certified nowhere at the end of exact "
            "descent; use a smaller initial_scale"
        )
    return mean


def _transient(
    pilot: _Pilot, steps: int, epsilon: float
) -> tuple[TransientSum, PenaltyState] | None:
    """Return a(K), at the longest horizon any schedule plans, and where the runs ended.

    None where the target is not reached in the longest run.
    """
    share = min(shares.transient for shares in SHARES.values()) * epsilon
    solver = pilot.solver(steps, VANISHING_PENALTY)
    state = solver.init(pilot.start, pilot.tools.initial_lower(START_SEEDS))
    total = np.zeros(len(START_SEEDS))
    for done in range(CHUNK, LONGEST_RUN + 1, CHUNK):
        history = follow(solver, pilot.tools.information, pilot.tools.truth, state, CHUNK)
        state = history.state
        total += history.stationarity.sum(1)
        horizon = horizon_of(total, history.stationarity[:, -1], done, share)
        if horizon is None:
            continue
        # Past its end a run adds at most its last term each time, while that does not grow.
        bound = total + (horizon - done) * history.stationarity[:, -1]
        planned = float(np.quantile(bound, PLANNED_QUANTILE))
        if planned <= CONVERGED * np.quantile(total, PLANNED_QUANTILE):
            return TransientSum(planned, float(np.quantile(bound, PREDICTED_QUANTILE))), state
    return None


def horizon_of(
    total: Float[np.ndarray, " replicate"],
    last: Float[np.ndarray, " replicate"],
    done: int,
    share: float,
) -> float | None:
    """Return the smallest T >= ``done`` at which the planned quantile of the sum is ``share * T``.

    Parameters
    ----------
    total, last
        Sum of the stationarity over the iterations done, and its last term, squared norms.
    done
        Iterations done.
    share
        What the transient may contribute, squared norm.

    Returns
    -------
    float or None
        None where it exceeds the longest run.
    """

    def excess(horizon: float) -> float:
        bound = total + (horizon - done) * last
        return float(np.quantile(bound, PLANNED_QUANTILE)) - share * horizon

    if excess(done) <= 0:
        return float(done)
    if excess(LONGEST_RUN) > 0:
        return None
    return float(brentq(excess, done, LONGEST_RUN))


def _noise(
    pilot: _Pilot, solver: PenaltyBilevel, state: PenaltyState
) -> tuple[float, SampleCounts]:
    """Return c of the solver's coupling and K at the end of the path, and the samples drawn."""
    tools = instruments_for(pilot.problem, NOISE_SEEDS)
    kept = len(NOISE_SEEDS)
    state = PenaltyState(
        **{each.name: getattr(state, each.name)[:kept] for each in fields(PenaltyState)}
    )
    # The lower iterates first move from the vanishing penalty to that of the plan.
    state = follow(solver, tools.information, tools.truth, state, SETTLING).state
    quiet = follow(solver, tools.information, tools.truth, state, SETTLING + AVERAGING)

    def added(batch: int, averaged: int) -> float:
        noisy = replace(solver, trajectories=batch, pairs=batch)
        run = follow(noisy, tools.sampled, tools.truth, state, SETTLING + averaged)
        window = slice(SETTLING, SETTLING + averaged)
        excess = run.stationarity[:, window].mean() - quiet.stationarity[:, window].mean()
        return max(float(excess), 0.0) * batch

    scale = 1.0 if solver.coupling == "shared" else solver.sigma**2
    rough = added(ceil(FIRST_BATCH / scale), FIRST_AVERAGING)
    constant = (
        added(max(SMALLEST_PILOT_BATCH, ceil(rough / PILOT_NOISE)), AVERAGING)
        if isfinite(rough)
        else rough
    )
    if not isfinite(constant):
        raise CertificationError(
            f"the sampled pilot with K = {solver.inner_steps} and {solver.coupling} batches "
            "diverged, so that its noise has no constant; use a smaller initial_scale"
        )
    return constant * scale, tools.sampled.counts.times(kept)
