"""What audits measure along a run, the iterates of the inner loops included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.bilevel import BilevelOracle, BilevelTruth, InnerPath
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.solutions.curvature import spectral_norm_of_hessian
from theory_check.recording.inner_paths import InnerPathRecorder

MEASURED = (
    "lower_gap",
    "lower_gradient",
    "penalised_distance",
    "penalised_gradient",
    "min_policy_probability",
    "inner_curvature",
    "outer_curvature",
)
"""Columns of :class:`AuditRecorder`, which describes them."""


class AuditRecorder(InnerPathRecorder):
    """Exact gaps, gradients, distances and curvatures along a run (``docs/theory.md`` section 5.5).

    One row per seed, recorded outer iteration and recorded inner iteration (0 is the start of the
    inner loop): ``lower_gap`` (J* - J at lambda, reward units), ``lower_gradient`` (``‖∇_lambda J‖``
    there), ``penalised_distance`` (of lambda' to argmin h_sigma), ``penalised_gradient``
    (``‖∇_lambda h_sigma‖`` there), ``min_policy_probability`` (over both policies),
    ``inner_curvature`` (the larger spectral norm of the Hessians of J at lambda and h_sigma at
    lambda'; at the first and the last inner iteration only), ``outer_curvature`` (spectral norm of
    ``∇²Phi_sigma`` at phi; at the last inner iteration only), ``status``. What does not apply is
    NaN.

    Parameters
    ----------
    truth, information
        What is exactly known of the problem, and its gradients with exact expectations.
    path
        Where the solver tells its inner iterates.
    penalty
        The solver's sigma, None where it has none.
    seeds
        Seeds of the replicates.
    grid
        Outer iterations to record.
    inner_points_per_decade
        Density of the log-spaced inner iterations.
    """

    order: ClassVar[tuple[str, ...]] = ("seed", "iteration", "inner_iteration")

    def __init__(
        self,
        truth: BilevelTruth,
        information: BilevelOracle,
        path: InnerPath,
        penalty: float | None,
        seeds: Sequence[int],
        grid: frozenset[int],
        inner_points_per_decade: int,
    ) -> None:
        super().__init__(truth, information, path, seeds, grid, inner_points_per_decade)
        self._penalty = penalty

    def mark(
        self, iteration: int, counts: SampleCounts, stopped: Int[Tensor, " n"], status: str
    ) -> None:
        """Keep a row without measurements that says why replicates stopped."""
        if len(stopped):
            place = {"iteration": iteration, "inner_iteration": 0}
            self._keep(place, dict.fromkeys(MEASURED, np.nan), stopped, status)

    def _record(
        self,
        iteration: int,
        upper: Float[Tensor, "active upper"],
        path: Sequence[tuple[Tensor, Tensor | None]],
        active: Int[Tensor, " active"],
    ) -> None:
        last, steps = len(path) - 1, self._steps(path)
        rows = []
        for step in steps:
            lower, penalised = path[step]
            chosen = None if penalised is None else penalised[active]
            rows.append(self._point(upper, lower[active], chosen, step in (0, last)))
        # After the points: those of one iteration share the solution of the penalised lower level.
        rows[-1]["outer_curvature"] = self._outer_curvature(upper)
        for step, row in zip(steps, rows, strict=True):
            place = {"iteration": iteration, "inner_iteration": step}
            self._keep(place, row, active, _certified(row, step == last))

    def _point(
        self,
        upper: Float[Tensor, "active upper"],
        lower: Float[Tensor, "active lower"],
        penalised: Float[Tensor, "active lower"] | None,
        curvature: bool,
    ) -> dict[str, Any]:
        found = self._truth.diagnostics(upper, lower, None, None)
        row: dict[str, Any] = dict.fromkeys(MEASURED, np.nan)
        row["lower_gap"] = found["lower_gap"]
        row["lower_gradient"] = self._information.lower_gradient(upper, lower, 1).norm(dim=-1)
        support = [found["min_policy_probability"]] if "min_policy_probability" in found else []
        curvatures = []
        if curvature:
            curvatures.append(self._inner_curvature(upper, lower, 0.0))
        if penalised is not None and self._penalty is not None:
            row["penalised_distance"] = self._truth.penalised_distance(
                upper, penalised, self._penalty
            )
            row["penalised_gradient"] = self._gradient(upper, penalised, self._penalty).norm(dim=-1)
            if support:
                there = self._truth.diagnostics(upper, penalised, None, None)
                support.append(there["min_policy_probability"])
            if curvature:
                curvatures.append(self._inner_curvature(upper, penalised, self._penalty))
        if support:
            row["min_policy_probability"] = torch.stack(support).amin(0)
        if curvatures:
            row["inner_curvature"] = torch.stack(curvatures).amax(0)
        return row

    def _gradient(self, upper: Tensor, lower: Tensor, sigma: float) -> Tensor:
        """``∂_y (sigma f + g)``."""
        gradient = self._information.lower_gradient(upper, lower, 1)
        if sigma == 0.0:
            return gradient
        return gradient + sigma * self._information.upper_gradients(upper, lower, 1).in_lower

    def _inner_curvature(self, upper: Tensor, lower: Tensor, sigma: float) -> Tensor:
        return spectral_norm_of_hessian(
            lambda points, owner: self._gradient(upper[owner], points, sigma), lower
        )

    def _outer_curvature(self, upper: Tensor) -> Tensor:
        sigma = self._penalty
        if sigma is None:
            return spectral_norm_of_hessian(
                lambda points, _: self._truth.hypergradient(points), upper
            )
        return spectral_norm_of_hessian(
            lambda points, _: self._truth.surrogate_gradient(points, sigma), upper
        )


def _certified(row: dict[str, Any], last: bool) -> list[str]:
    """Return ``"ok"``, or ``"not certified"`` for replicates without a penalised minimiser."""
    asked = [row["penalised_distance"]] + ([row["outer_curvature"]] if last else [])
    missing = torch.zeros_like(row["lower_gap"], dtype=torch.bool)
    for found in asked:
        if isinstance(found, Tensor):
            missing |= torch.isnan(found)
    return ["not certified" if yes else "ok" for yes in missing.tolist()]
