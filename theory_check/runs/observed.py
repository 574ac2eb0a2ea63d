"""Running a solver whose inner loops are observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from theory_check.bilevel import Solver
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import Problem
from theory_check.recording.inner_paths import InnerPathRecorder, ObservedOracle
from theory_check.runs.measurements.base import Progress
from theory_check.runs.trace import iterate


def run_observed(
    problem: Problem,
    solver: Solver,
    iterations: int,
    seeds: Sequence[int],
    initial_scale: float,
    recorder_of: Callable[[Instruments, ObservedOracle], InnerPathRecorder],
    progress: Progress,
) -> pd.DataFrame:
    """Run ``solver`` with sampled gradients and return what a recorder of inner paths kept.

    Parameters
    ----------
    problem, solver, iterations, seeds, initial_scale, progress
        As in :func:`theory_check.run`.
    recorder_of
        Builds the recorder from what is known of the problem and the observed oracle.
    """
    instruments = instruments_for(problem, seeds)
    oracle = ObservedOracle(instruments.sampled)
    recorder = recorder_of(instruments, oracle)
    state = instruments.initial_state(solver, seeds, initial_scale)
    iterate(
        solver, oracle, state, iterations, recorder, lambda: instruments.sampled.counts, progress
    )
    return recorder.table()
