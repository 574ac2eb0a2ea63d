"""The error of the reference solver over a factorial design, with the exact split of its causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd

from theory_check.bilevel import Coupling
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, StepSizes
from theory_check.measurements.units import Units, columns
from theory_check.problems import Problem
from theory_check.recording import Progress
from theory_check.recording.run import run
from theory_check.settings import Positive, PositiveInteger
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

SPLIT = ("penalty_bias", "inner_error", "sampling_error")


@dataclass(frozen=True)
class BoundTerms(Measurement):
    """Every combination of T, sigma, n and K, with as many pairs as trajectories (B = n).

    One run per (sigma, n, K) of the largest T gives every smaller one from its trace. Rows have
    columns ``seed, sigma, trajectories, inner_steps, iterations``, ``ergodic_stationarity`` (mean
    of ``‖∇Phi‖²`` over the first T iterations, squared norm), ``penalty_bias, inner_error,
    sampling_error`` (means over the same iterations of the squared norms of ``docs/theory.md``
    section 4.5) and ``status``, that of the run. The split is evaluated on a log-spaced grid of
    iterations; its means weight every recorded iteration by those it stands for.

    Parameters
    ----------
    iterations
        Numbers of outer iterations T.
    sigmas, trajectories, inner_steps
        Levels of sigma, n and K.
    inner_step_size, step_size, coupling
        As in :class:`theory_check.solvers.PenaltyBilevel`.
    initial_scale
        Standard deviation of the initial reward parameters.
    points_per_decade
        Density of the iterations at which the split is evaluated.
    """

    kind: ClassVar[str] = "bound-terms"
    units: ClassVar[Units] = columns(
        trajectories="trajectories",
        inner="inner_steps",
        iterations="iterations",
        squared="ergodic_stationarity penalty_bias inner_error sampling_error",
    )

    iterations: tuple[PositiveInteger, ...]
    sigmas: tuple[Positive, ...]
    trajectories: tuple[PositiveInteger, ...]
    inner_steps: tuple[PositiveInteger, ...]
    inner_step_size: Positive
    step_size: Positive
    coupling: Coupling = "independent"
    initial_scale: Positive = 1.0
    points_per_decade: PositiveInteger = 8

    def __post_init__(self) -> None:
        """Refuse values that are listed twice."""
        super().__post_init__()
        for argument in ("iterations", "sigmas", "trajectories", "inner_steps"):
            values = getattr(self, argument)
            if len(set(values)) != len(values):
                raise InvalidArgumentError(
                    argument, list(values), "pass at least one value, each of them once"
                )

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and design point."""
        runs = list(product(self.sigmas, self.trajectories, self.inner_steps))
        frames = []
        for done, (sigma, number, steps) in enumerate(runs, start=1):
            solver = PenaltyBilevel(
                sigma=sigma,
                inner_steps=steps,
                inner_step_size=self.inner_step_size,
                step_size=self.step_size,
                trajectories=number,
                pairs=number,
                coupling=self.coupling,
            )
            trace = run(
                problem,
                solver,
                max(self.iterations),
                seeds,
                initial_scale=self.initial_scale,
                points_per_decade=self.points_per_decade,
            ).table
            design = {"sigma": sigma, "trajectories": number, "inner_steps": steps}
            for seed, rows in trace.groupby("seed"):
                averages = pd.DataFrame(run_means(rows, self.iterations))
                frames.append(averages.assign(seed=seed, **design))
            progress(done, len(runs))
        columns = ["seed", "sigma", "trajectories", "inner_steps", "iterations"]
        columns += ["ergodic_stationarity", *SPLIT, "status"]
        return pd.concat(frames, ignore_index=True)[columns]

    def solvers(self) -> tuple[type[PenaltyBilevel]]:
        """Return the class of the solver of every design point."""
        return (PenaltyBilevel,)

    def step_sizes(self) -> StepSizes:
        """Return the steps, the same at every design point."""
        return StepSizes(outer=self.step_size, inner=self.inner_step_size)


def run_means(rows: pd.DataFrame, iterations: Sequence[int]) -> list[dict[str, object]]:
    """Return the means over the first T iterations of one seed's trace, for every T.

    The ergodic stationarity is exact at recorded iterations, and its running sum is interpolated
    linearly between them. A recorded value of the split stands for the iterations nearest to it.
    A run that stopped before T has NaN, and the status it stopped with.
    """
    good = rows.loc[rows["status"] == "ok"]
    recorded = good["iteration"].to_numpy(dtype=np.float64)
    sums = recorded * good["ergodic_stationarity"].to_numpy(dtype=np.float64)
    last = recorded[-1] if recorded.size else 0.0
    # Boundaries half-way between recorded iterations: value i stands for (edges[i], edges[i + 1]].
    edges = np.concatenate([[0.5], (recorded[1:] + recorded[:-1]) / 2, [last + 0.5]])
    means: list[dict[str, object]] = []
    for number in iterations:
        if number > last:
            status = str(rows["status"].iloc[-1])
            means.append({"iterations": number, "status": status})
            continue
        weights = np.diff(np.minimum(edges, number + 0.5)) / number
        split = {name: float(weights @ good[name].to_numpy(dtype=np.float64)) for name in SPLIT}
        ergodic = float(np.interp(number, recorded, sums)) / number
        means.append(
            {
                "iterations": number,
                "ergodic_stationarity": ergodic,
                **split,
                "status": "ok",
            }
        )
    return means
