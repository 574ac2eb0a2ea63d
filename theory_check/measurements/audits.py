"""The assumptions of the theory, measured along runs of a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from theory_check.bilevel import InnerPath, Solver
from theory_check.measurements.base import Measurement, StepSizes, steps_of
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.audits import AuditRecorder
from theory_check.recording.inner_paths import require_inner_path
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import run_observed
from theory_check.settings import Positive, PositiveInteger


@dataclass(frozen=True)
class Audits(Measurement):
    """Constants of the assumptions at iterates of both loops of an actual run.

    Columns as in :class:`theory_check.recording.audits.AuditRecorder`.

    Parameters
    ----------
    solver
        The configured solver.
    iterations
        Outer iterations T.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the log-spaced outer iterations recorded.
    inner_points_per_decade
        Density of the log-spaced inner iterations recorded within each of them.
    """

    kind: ClassVar[str] = "audits"

    solver: Solver
    iterations: PositiveInteger
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 4
    inner_points_per_decade: PositiveInteger = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        require_inner_path(self.solver)

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, recorded outer iteration and recorded inner iteration."""

        def recorder_of(instruments: Instruments, path: InnerPath) -> AuditRecorder:
            return AuditRecorder(
                instruments.truth,
                instruments.information,
                path,
                self.solver.penalty,
                seeds,
                recording_grid(self.iterations, self.points_per_decade),
                self.inner_points_per_decade,
            )

        return run_observed(
            problem,
            self.solver,
            self.iterations,
            seeds,
            self.initial_scale,
            recorder_of,
            progress,
        )

    def step_sizes(self) -> StepSizes:
        """Return the steps of the solver."""
        return steps_of(self.solver)
