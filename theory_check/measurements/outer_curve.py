"""Ergodic stationarity of the penalty method on every path, beside what its steps and errors allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import SolverState
from theory_check.measurements.base import Measurement, Need, StepSizes, steps_of
from theory_check.measurements.needs import kind_of
from theory_check.measurements.units import Units, columns
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.oracles.optima.penalised_curvature import penalised_hessian
from theory_check.oracles.quadratic_constants import penalised_smoothness, penalised_value
from theory_check.oracles.solutions.curvature import spectral_norm
from theory_check.problems import Problem
from theory_check.problems.quadratic import QuadraticProblem
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import Observer, iterate
from theory_check.settings import Positive, PositiveInteger, PositiveShare
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

VALUED = Need(
    "a problem whose Phi_sigma is computed: preference learning, or a quadratic",
    lambda problem: isinstance(problem, Problem | QuadraticProblem),
    kind_of,
    "name a problem with states and rewards, or one of family 'quadratic'",
)
MARGIN = 1.5
"""How much larger than the largest curvature measured on a path its smoothness is taken to be."""


@dataclass(frozen=True)
class OuterCurve(Measurement):
    """The mean of ``‖∇Phi_sigma(x_t)‖²`` over a path, and its bound without an expectation.

    ``docs/theory.md`` section 5.13: on every path, whatever the estimates are,

        (1/T) sum ‖∇Phi_sigma(x_t)‖² <= 2 (Phi_sigma(x_1) - Phi_sigma(x_{T+1})) / (eta T)
            + (1/T) sum ‖g_hat_t - ∇Phi_sigma(x_t)‖² + max(0, eta L - 1) (1/T) sum ‖g_hat_t‖².

    In the mean over paths sampling errors, whose expectation is 0 given the inner iterates, count ``eta
    L`` times only: the second term is then that of the inner errors, plus ``eta L`` times that of the
    sampling errors, and the third is about the expected estimate.

    L is a Lipschitz constant of ``∇Phi_sigma`` on the path. For a quadratic it is known, and the step
    is a share of its inverse, whatever that of the solver. Else L is ``MARGIN`` times the largest
    ``‖∇²Phi_sigma‖`` at the recorded iterates of the path, in the mean of all paths: a measured number,
    not a proved one. Rows have columns ``seed, iteration, stationarity`` (the left side, squared norm),
    ``bound``, ``bound_without_errors`` (the second term left out), ``bound_in_mean``, ``decrease,
    errors`` (the first two terms of the first bound), ``step_times_smoothness`` (``eta L`` of the path)
    and ``status``.

    Parameters
    ----------
    solver
        The reference solver, with a forward difference.
    iterations
        Outer iterations T.
    initial_scale
        Standard deviation of the initial upper parameters.
    points_per_decade
        Density of the log-spaced recorded iterations.
    step_share
        The step on a quadratic, as a share of the inverse smoothness.
    """

    kind: ClassVar[str] = "outer-curve"
    units: ClassVar[Units] = columns(
        iterations="iteration",
        squared="stationarity bound bound_without_errors bound_in_mean decrease errors",
        one="step_times_smoothness",
    )
    needs: ClassVar[tuple[Need, ...]] = (VALUED,)

    solver: PenaltyBilevel
    iterations: PositiveInteger
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 8
    step_share: PositiveShare = 1.0

    def measure(
        self, problem: Problem | QuadraticProblem, seeds: Sequence[int], progress: Progress
    ) -> pd.DataFrame:
        """Return one row per seed and recorded iteration."""
        solver, level = self.solver, _level(problem, self.solver.sigma)
        if level.known_smoothness is not None:
            solver = replace(solver, step_size=self.step_share / level.known_smoothness)
        instruments = instruments_for(problem, seeds)
        oracle = instruments.oracle_for(solver)
        grid = recording_grid(self.iterations, self.points_per_decade)
        observer = _PathSums(instruments, level, solver, seeds, grid)
        state = instruments.initial_state(solver, seeds, self.initial_scale)
        # Exact curvatures of networks can take minutes before the first iteration is reported.
        progress(0, self.iterations)
        iterate(solver, oracle, state, self.iterations, observer, lambda: oracle.counts, progress)
        return observer.table()

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return steps_of(self.solver)

    def relative_cost(self) -> float:
        """Return the order of the outer iterations, each with an exact gradient."""
        return self.iterations / 10


@dataclass(frozen=True)
class _Level:
    """What is computed of ``Phi_sigma``: its value, and its curvature where that is not known."""

    value: Callable[[Tensor], Float[Tensor, " replicate"]]
    curvature: Callable[[Tensor], Float[Tensor, " replicate"]]
    known_smoothness: float | None


def _level(problem: Problem | QuadraticProblem, sigma: float) -> _Level:
    if isinstance(problem, QuadraticProblem):
        smooth = penalised_smoothness(problem, sigma)
        return _Level(
            lambda x: penalised_value(problem, x, sigma),
            lambda x: x.new_full(x.shape[:1], smooth),
            smooth,
        )
    exact = ExactOracle(problem)
    return _Level(
        lambda x: exact.penalised_objective(x, sigma),
        lambda x: MARGIN * spectral_norm(penalised_hessian(exact, x, sigma)),
        None,
    )


SUMS = ("stationarity", "errors", "moves", "inner", "noise", "expected_moves")
"""Squared norms that are added up along a path; see :class:`_PathSums`."""


class _PathSums(Observer):
    """Sums along every path; rows as in :class:`OuterCurve`."""

    def __init__(
        self,
        instruments: Instruments,
        level: _Level,
        solver: PenaltyBilevel,
        seeds: Sequence[int],
        grid: frozenset[int],
    ) -> None:
        self._instruments, self._level, self._solver = instruments, level, solver
        self._seeds, self._grid = np.array(seeds), grid
        self._sums = {name: torch.zeros(len(seeds), dtype=torch.float64) for name in SUMS}
        self._smooth = torch.zeros(len(seeds), dtype=torch.float64)
        self._start: Tensor | None = None
        self._rows: list[pd.DataFrame] = []

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Add an iteration to the sums of the replicates ``active``."""
        sigma, x = self._solver.sigma, state.upper[active]
        if self._start is None:
            self._start = self._level.value(state.upper)
        gradient = self._instruments.truth.surrogate_gradient(x, sigma)
        assert isinstance(state, PenaltyState)
        expected = self._solver.hypergradient_estimate(self._instruments.information, state)
        estimate, expected = state.estimate[active], expected[active]
        for name, vector in (
            ("stationarity", gradient),
            ("errors", estimate - gradient),
            ("moves", estimate),
            ("inner", expected - gradient),
            ("noise", estimate - expected),
            ("expected_moves", expected),
        ):
            self._sums[name][active] += vector.square().sum(-1)
        if iteration not in self._grid:
            return
        self._smooth[active] = torch.maximum(self._smooth[active], self._level.curvature(x))
        fall = self._start[active] - self._level.value(state.next_upper[active])
        self._rows.append(
            pd.DataFrame(
                {
                    "seed": self._seeds[active.numpy()],
                    "iteration": iteration,
                    "decrease": (2 * fall / (self._solver.step_size * iteration)).numpy(),
                    **{
                        name: (total[active] / iteration).numpy()
                        for name, total in self._sums.items()
                    },
                    "status": "ok",
                }
            )
        )

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep rows without measurements that say why replicates stopped."""
        if len(stopped):
            stops = {"seed": self._seeds[stopped.numpy()], "iteration": iteration, "status": status}
            self._rows.append(pd.DataFrame(stops))

    def table(self) -> pd.DataFrame:
        """Return the rows with their bounds; the smoothness of a path is that of all of it."""
        table = pd.concat(self._rows, ignore_index=True)
        smooth = pd.Series(self._smooth.numpy(), index=self._seeds)
        table["step_times_smoothness"] = self._solver.step_size * table["seed"].map(smooth)
        # 1 - eta L is 0 where the step is the inverse of what is known.
        beyond = (table["step_times_smoothness"] - 1).clip(lower=0.0) * table.pop("moves")
        table["bound_without_errors"] = table["decrease"] + beyond
        table["bound"] = table["bound_without_errors"] + table["errors"]
        largest = table["step_times_smoothness"].max()
        table["bound_in_mean"] = (
            table["decrease"] + table.pop("inner") + largest * table.pop("noise")
        )
        table["bound_in_mean"] += max(0.0, largest - 1) * table.pop("expected_moves")
        return table.sort_values(["seed", "iteration"], kind="stable").reset_index(drop=True)
