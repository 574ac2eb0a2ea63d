"""The assumptions of the theory, measured along runs of a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from theory_check.bilevel import InnerPath
from theory_check.measurements.inner_iterates import InnerIterates
from theory_check.measurements.units import Units, columns
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording.audits import AuditRecorder
from theory_check.recording.inner_paths import InnerPathRecorder
from theory_check.settings import PositiveInteger


@dataclass(frozen=True)
class Audits(InnerIterates):
    """Constants of the assumptions at iterates of both loops of an actual run.

    Columns as in :class:`theory_check.recording.audits.AuditRecorder`.

    Parameters are those of :class:`InnerIterates`.
    """

    kind: ClassVar[str] = "audits"
    units: ClassVar[Units] = columns(
        iterations="iteration",
        inner="inner_iteration",
        reward="lower_gap",
        norm="lower_gradient penalised_gradient",
        length="penalised_distance",
        one="min_policy_probability",
        curvature="inner_curvature",
        smoothness="outer_curvature",
    )

    points_per_decade: PositiveInteger = 4

    def _recorder(
        self,
        problem: Problem,
        instruments: Instruments,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
    ) -> InnerPathRecorder:
        return AuditRecorder(
            instruments.truth,
            instruments.information,
            path,
            self.solver.penalty,
            seeds,
            grid,
            self.inner_points_per_decade,
        )
