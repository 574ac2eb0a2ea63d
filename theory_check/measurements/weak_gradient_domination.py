"""Weak gradient domination of both levels along runs, its constant held against other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import InnerPath
from theory_check.measurements.base import Need
from theory_check.measurements.inner_iterates import InnerIterates
from theory_check.measurements.needs import EXCESS_RISK, PREFERENCES, STANDARD_LABELS
from theory_check.measurements.units import Units, columns
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.instruments import Instruments
from theory_check.problems import Problem
from theory_check.recording.inner_paths import InnerPathRecorder
from theory_check.thresholds import NEGLIGIBLE

MARGIN = 2.0
"""How much larger than the measured constant that of another run may be."""


@dataclass(frozen=True)
class WeakGradientDomination(InnerIterates):
    """``J* - J <= c ‖∂_lambda J‖ + eps'`` and ``Phi - Phi* <= c ‖∇Phi‖ + eps'`` along runs.

    ``docs/theory.md`` section 5.9. The first half of the seeds gives the smallest ``c`` that keeps the
    inequality in all of their rows, for each level; the others are held against ``MARGIN c``.

    Rows have columns ``seed, half`` (``"measured"`` or ``"held out"``), ``level`` (``"lower"`` or
    ``"upper"``), ``iteration, inner_iteration`` (0 is the start of an inner loop; always 0 for the upper
    level), ``gap`` (``J* - J``, reward units, or ``Phi - Phi*``, nats), ``gradient`` (norm), ``constant``
    (``c``, the same in all rows of a level), ``floor`` (``eps'`` of the run), ``bound``
    (``MARGIN c gradient + eps'``: what a gradient implies about the gap), ``share_of_bound`` and
    ``status``.

    Parameters are those of :class:`InnerIterates`.
    """

    kind: ClassVar[str] = "weak-gradient-domination"
    units: ClassVar[Units] = columns(
        text="half level",
        iterations="iteration",
        inner="inner_iteration",
        either="gap floor bound",
        norm="gradient",
        length="constant",
        one="share_of_bound",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, STANDARD_LABELS, EXCESS_RISK)
    least_seeds: ClassVar[int] = 2

    def _recorder(
        self,
        problem: Problem,
        instruments: Instruments,
        path: InnerPath,
        seeds: Sequence[int],
        grid: frozenset[int],
    ) -> InnerPathRecorder:
        known = (instruments.truth, instruments.information)
        return _GapRecorder(*known, path, seeds, grid, self.inner_points_per_decade)

    def _completed(
        self, table: pd.DataFrame, problem: Problem, seeds: Sequence[int]
    ) -> pd.DataFrame:
        """Return the table with the constants of the first half of the seeds."""
        return hold_out(table, seeds[: len(seeds) // 2])


def hold_out(table: pd.DataFrame, measured: Sequence[int]) -> pd.DataFrame:
    """Add the constants of some seeds to a table, and hold all of its rows against them.

    Parameters
    ----------
    table
        Columns ``seed, level, gap, gradient`` and others.
    measured
        The seeds that give the constants.

    Returns
    -------
    pandas.DataFrame
        The table with columns ``half, constant, floor, bound, share_of_bound``. Where a measured seed
        has a gap above ``floor`` and no gradient, no constant exists, and all shares of the level are
        infinite.
    """
    found = table.copy()
    found["half"] = np.where(found["seed"].isin(measured), "measured", "held out")
    found["floor"] = NEGLIGIBLE * found.groupby(["level", "seed"])["gap"].transform("max")
    excess = (found["gap"] - found["floor"]).clip(lower=0.0).to_numpy()
    gradient = found["gradient"].to_numpy()
    needed = np.divide(excess, gradient, out=np.where(excess > 0, np.inf, 0.0), where=gradient > 0)
    found["constant"] = np.where(found["half"] == "measured", needed, -np.inf)
    found["constant"] = found.groupby("level")["constant"].transform("max")
    exists = np.isfinite(found["constant"].to_numpy())
    constant = np.where(exists, found["constant"], 0.0)
    found["bound"] = np.where(exists, MARGIN * constant * gradient, np.inf) + found["floor"]
    found["share_of_bound"] = np.where(exists, found["gap"] / found["bound"], np.inf)
    return found


class _GapRecorder(InnerPathRecorder):
    """Exact gaps and gradients of both levels along a run; rows as in :class:`WeakGradientDomination`."""

    order: ClassVar[tuple[str, ...]] = ("level", "seed", "iteration", "inner_iteration")

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep rows without measurements that say why replicates stopped."""
        for level in ("upper", "lower"):
            if len(stopped):
                self._keep_gap(level, iteration, 0, stopped, np.nan, np.nan, status)

    def _record(
        self,
        iteration: int,
        upper: Float[Tensor, "active upper"],
        path: Sequence[tuple[Tensor, Tensor | None]],
        active: Int[Tensor, " active"],
    ) -> None:
        value = self._truth.hyperobjective(upper)
        norm = self._truth.hypergradient(upper).norm(dim=-1)
        self._keep_gap("upper", iteration, 0, active, value, norm)
        for step in self._steps(path):
            lower = path[step][0][active]
            gap = self._truth.diagnostics(upper, lower, None, None)["lower_gap"]
            norm = self._information.lower_gradient(upper, lower, 1).norm(dim=-1)
            self._keep_gap("lower", iteration, step, active, gap, norm)

    def _keep_gap(
        self,
        level: str,
        iteration: int,
        step: int,
        replicates: Int[Tensor, " n"],
        gap: Tensor | float,
        gradient: Tensor | float,
        status: str = "ok",
    ) -> None:
        place = {"level": level, "iteration": iteration, "inner_iteration": step}
        self._keep(place, {"gap": gap, "gradient": gradient}, replicates, status)
