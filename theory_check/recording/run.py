"""Running one solver on one problem, all seeds in one batched program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import InnerPath, Solver, SolverState
from theory_check.errors import (
    InvalidArgumentError,
    SampleBudgetExhausted,
    require_callable,
    require_flag,
    require_instance,
    require_positive_integer,
    require_scale,
    require_seeds,
)
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments, instruments_for, require_fit
from theory_check.oracles.numerics import require_device
from theory_check.recording import Progress
from theory_check.recording.drawing import draw_trace
from theory_check.recording.inner_paths import InnerPathRecorder, TellingSolver, require_inner_path
from theory_check.recording.recorder import Recorder, recording_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Trace:
    """What came out of a run.

    Attributes
    ----------
    table
        Tidy frame, one row per (seed, recorded iteration); columns are described in
        ``theory_check.recording.recorder.COLUMNS``.
    final_upper
        Outer iterate after the last completed iteration, shape (replicate, upper); NaN where the
        run diverged.
    """

    table: pd.DataFrame
    final_upper: Float[Tensor, "replicate upper"]

    def __repr__(self) -> str:
        """Say on one line how large it is and how its runs ended."""
        last = self.table.groupby("seed").tail(1)
        ended = ", ".join(
            f"{count} {status}" for status, count in last["status"].value_counts(sort=False).items()
        )
        longest = f" up to iteration {self.table['iteration'].max()};" if len(last) else ""
        return (
            f"<Trace: {len(self.table)} rows, {len(self.table.columns)} columns, {len(last)} seeds,"
            f"{longest} ended: {ended or 'none'}>"
        )

    def plot(
        self, axes: Axes | None = None, *, y: str = "stationarity", x: str = "iteration"
    ) -> Axes:
        """Draw a column of the table against another, a line for each seed and their median.

        Parameters
        ----------
        axes
            Where to draw; that of a new figure when absent.
        y, x
            Columns of the table.

        Raises
        ------
        InvalidArgumentError
            For a column that the table has not.
        """
        return draw_trace(self.table, y, x, axes)


@runtime_checkable
class Stepping(Protocol):
    """What the loop asks of a solver."""

    # Any: the oracle and the state are of the kind that this solver's step takes.
    def step(self, oracle: Any, state: Any) -> Any:
        """Return the state after an outer iteration."""
        ...


@runtime_checkable
class Observer(Protocol):
    """What the loop tells about a run; :class:`~theory_check.recording.recorder.Recorder` is one.

    Who derives from it and keeps nothing besides what it observes need not say so.
    """

    def observe(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Look at the replicates ``active`` after an iteration."""
        ...

    def record(
        self,
        iteration: int,
        state: SolverState,
        counts: SampleCounts,
        active: Int[Tensor, " active"],
    ) -> None:
        """Keep the last completed iteration before the run is cut short."""
        return

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Note why replicates stopped."""
        return


def run(
    problem: object,
    solver: Solver,
    iterations: int,
    seeds: Iterable[Any],
    *,
    initial_scale: float = 1.0,
    sample_budget: int | None = None,
    points_per_decade: int = 10,
    ergodic: bool = True,
    enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """Run ``solver`` on ``problem`` with sampled gradients and record it exactly.

    Parameters
    ----------
    problem
        What ``theory_check.problems`` builds, or one whose class names its instruments.
    solver
        A configured solver.
    iterations
        Outer iterations T.
    seeds
        One replicate per seed. A replicate's samples do not depend on which others run beside it, and
        its numbers only to rounding.
    initial_scale
        Standard deviation of the noise, drawn from each seed's own stream, from which the reward
        class makes its initial parameters: of the parameters themselves where rewards are linear.
    sample_budget
        Largest number of samples (trajectories plus labels) a replicate may draw; the run ends with
        status ``"budget exhausted"`` when the next gradient would exceed it.
    points_per_decade
        Density of the log-spaced recording grid.
    ergodic
        Whether to record the ergodic mean of the stationarity (one exact hypergradient per
        iteration).
    enumeration_budget
        Largest number of trajectories the oracles may enumerate.
    device
        Device of the tables.
    progress
        Called as ``progress(done, total)`` after every iteration.

    Raises
    ------
    InvalidArgumentError
        Before any work, naming the argument, the value received and the remedy.
    """
    if isinstance(solver, type):
        raise InvalidArgumentError(
            "solver",
            f"the class {solver.__name__}",
            f"pass an object, as in {solver.__name__}(...)",
        )
    require_instance(
        "solver", solver, Solver, "pass a solver, such as those of theory_check.solvers"
    )
    replicate_seeds = require_seeds(seeds)
    require_positive_integer("iterations", iterations)
    require_positive_integer("enumeration_budget", enumeration_budget)
    require_scale("initial_scale", initial_scale)
    require_flag("ergodic", ergodic)
    if progress is not None:
        require_callable("progress", progress)
    grid = recording_grid(iterations, points_per_decade)
    if sample_budget is not None:
        require_positive_integer("sample_budget", sample_budget)
    require_device("device", device)
    require_fit("solver", problem, getattr(problem, "name", ""), solver)
    instruments = instruments_for(
        problem,
        replicate_seeds,
        sample_budget=sample_budget,
        enumeration_budget=enumeration_budget,
        device=device,
    )
    oracle = instruments.oracle_for(solver)
    recorder = Recorder(
        instruments.truth, instruments.information, solver, replicate_seeds, grid, ergodic=ergodic
    )
    state = instruments.initial_state(solver, replicate_seeds, initial_scale)
    final = iterate(solver, oracle, state, iterations, recorder, lambda: oracle.counts, progress)
    return Trace(table=recorder.table(), final_upper=final.next_upper)


def iterate(
    solver: Stepping,
    oracle: object,
    state: SolverState,
    iterations: int,
    recorder: Observer,
    counts: Callable[[], SampleCounts],
    progress: Callable[[int, int], None] | None = None,
    finished: Callable[[], bool] = lambda: False,
) -> SolverState:
    """Advance a solver: the one loop that owns limits, divergence and outcomes.

    A replicate whose iterate or estimate stops being finite gets a row with status ``"diverged"``
    and no further rows; the others go on. An exhausted sample budget ends the run for all, with a
    full row for the last completed iteration where that was not on the grid, and a row that says so.
    The run also ends when ``finished()`` says after an iteration that nothing is left to see.
    """
    active = torch.arange(state.upper.shape[0])
    completed = counts()
    for iteration in range(1, iterations + 1):
        try:
            following = solver.step(oracle, state)
        except SampleBudgetExhausted:
            recorder.record(iteration - 1, state, completed, active)
            recorder.mark(iteration, counts(), active, "budget exhausted")
            break
        state = following
        completed = counts()
        if not _all_finite(state):
            finite = _finite(state)[active]
            recorder.mark(iteration, completed, active[~finite], "diverged")
            active = active[finite]
        recorder.observe(iteration, state, completed, active)
        if progress is not None:
            progress(iteration, iterations)
        if not len(active) or finished():
            break
    return state


def _finite(state: SolverState) -> Tensor:
    """Return which replicates are finite."""
    return torch.isfinite(torch.cat(_parts(state), dim=1)).all(-1).cpu()


def _all_finite(state: SolverState) -> bool:
    """Return whether all replicates are finite for sure.

    A sum is finite only where all of its terms are, and quickly found. Sums that overflow leave it open.
    """
    return all(math.isfinite(part.sum()) for part in _parts(state))


def _parts(state: SolverState) -> list[Tensor]:
    parts = [state.next_upper, state.estimate, state.lower]
    return parts if state.lower_penalised is None else [*parts, state.lower_penalised]


def run_observed(
    problem: object,
    solver: Solver,
    iterations: int,
    seeds: Sequence[int],
    initial_scale: float,
    recorder_of: Callable[[Instruments, InnerPath], InnerPathRecorder],
    progress: Progress,
) -> pd.DataFrame:
    """Run ``solver`` with sampled gradients and return what a recorder of inner paths kept.

    Parameters
    ----------
    problem, solver, iterations, seeds, initial_scale, progress
        As in :func:`theory_check.run`.
    recorder_of
        Builds the recorder from what is known of the problem and the path that the solver tells.

    Raises
    ------
    InvalidArgumentError
        If the solver does not tell its inner path, or does not fit the problem, before any work.
    """
    require_fit("solver", problem, getattr(problem, "name", ""), solver)
    path: InnerPath = []
    telling = TellingSolver(require_inner_path(solver), path)
    instruments = instruments_for(problem, seeds)
    oracle = instruments.oracle_for(solver)
    recorder = recorder_of(instruments, path)
    state = instruments.initial_state(solver, seeds, initial_scale)
    iterate(telling, oracle, state, iterations, recorder, lambda: oracle.counts, progress)
    return recorder.table()
