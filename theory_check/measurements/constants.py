"""The constants of the bounds on one problem: bias, smoothness, inner rate, noise and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import LINEAR_AND_TABULAR, PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.comparisons.choice import costs_of
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.lower_spectrum import (
    curvature_at_reference,
    largest_curvature,
    log_smallest_curvature,
    smoothness_bound,
)
from theory_check.oracles.optima.noise_limit import noise_limit
from theory_check.oracles.optima.penalty_limit import (
    bias_gradient,
    divergence_factor,
    largest_loss,
    penalty_limit,
)
from theory_check.oracles.solutions.curvature import spectral_norm_of_hessian
from theory_check.problems import Problem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.settings import Positive, PositiveInteger

# Of the length on which pi* changes: differences err by its square over 6, and rounding adds 1e-14 over
# it and over the KL weight, 1e-9 at the smallest one.
STEP = 1e-3
SHELL = 4.0
"""Ratio of the distances of two shells of points."""


SEARCHED = ("value_bias", "gradient_bias", "smoothness", "shared_noise")
"""What has spikes at small KL weights, some 2 beta wide, that random points may miss."""


@dataclass(frozen=True)
class Constants(Measurement):
    """Worst constants of the penalty method over a ball of rewards (``docs/theory.md`` section 5.14).

    Nothing is sampled but the points: every seed has ``directions`` random ones, and on each ``shells``
    points at distances that fall by a factor 4, so that what happens on the scale of a small KL weight
    is seen as well; ``rounds`` of a local search then climb the spikes that these have found. Features
    count in units of their largest norm: ``|r_phi|`` is at most ``largest_reward`` whatever the sizes
    of the problem, and gradients, Hessians and variances are in the same units.

    Rows have columns ``seed, kl_weight, states, actions``, ``effective_horizon`` (``sum_h gamma^h``)
    and, the largest over the points each: ``value_bias`` and ``gradient_bias`` (``|Phi_sigma - Phi|``
    and ``‖∇Phi_sigma - ∇Phi‖`` over sigma, in the limit), ``smoothness`` (``‖∇²Phi‖``),
    ``independent_noise`` and ``shared_noise`` (``sigma² n`` and ``n`` times the variance of the penalty
    difference, in the limit), ``log_coverage`` (``log max pi_ref/pi*``), ``curvature`` (``‖∇²g‖``, at
    the reference policy and at ``lambda*``), ``inner_time`` and ``step_time`` (``1/(1-rho)``, rho the
    factor by which the gap falls in a step near ``lambda*``, the step one over ``curvature`` or over
    ``beta_s`` of 2005.06392), ``log_inner_time`` and ``log_step_time``, ``value_share`` (``value_bias``
    over its bound at the same point), and ``status`` (``"not resolved"`` where a state is visited too
    rarely for floating point).

    Parameters
    ----------
    directions
        Directions of points.
    shells
        Points on each.
    rounds, nearby
        Rounds of the local search, and points that one draws around the best of each quantity.
    largest_reward
        Radius of the ball, in reward units.
    """

    kind: ClassVar[str] = "constants"
    units: ClassVar[Units] = columns(
        reward="kl_weight",
        one="states actions effective_horizon log_coverage log_inner_time log_step_time value_share",
        inner="inner_time step_time",
        per_reward="value_bias",
        norm_per_reward="gradient_bias",
        smoothness="smoothness",
        noise="independent_noise shared_noise",
        curvature="curvature",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, LINEAR_AND_TABULAR)

    directions: PositiveInteger = 64
    shells: PositiveInteger = 3
    rounds: PositiveInteger = 3
    nearby: PositiveInteger = 16
    largest_reward: Positive = 2.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed."""
        ball = _Ball.of(problem, self.largest_reward)
        points = ball.radius * reward_points(
            seeds, self.directions, self.shells, problem.parameters
        )
        found = ball.constants(points)
        shift = standard_normals(
            "search of constants",
            seeds,
            (self.rounds, len(SEARCHED), self.nearby, problem.parameters),
        )
        shifts = torch.from_numpy(np.stack(shift))
        for done in range(self.rounds):
            progress(done + 1, self.rounds + 1)
            reach = SHELL / self.directions / SHELL**done
            nearby = _around_the_best(points, found, reach * shifts[:, done])
            nearby *= (ball.radius / nearby.norm(dim=-1, keepdim=True)).clamp_max(1.0)
            more = ball.constants(nearby)
            points = torch.cat([points, nearby], dim=1)
            found = {name: torch.cat([found[name], more[name]], dim=1) for name in found}
        largest = {name: values.amax(1) for name, values in found.items()}
        curvature = torch.maximum(largest["curvature"], ball.curvature_at_reference(points))
        inner = log_time(-largest["log_flatness"] - curvature.log())
        step = largest["log_step_time"]
        resolved = torch.isfinite(largest["log_flatness"]).numpy()
        columns = {name: largest[name].numpy() for name in MEASURED}
        progress(self.rounds + 1, self.rounds + 1)
        return pd.DataFrame(
            {
                "seed": list(seeds),
                "kl_weight": problem.kl_weight,
                "states": problem.states,
                "actions": problem.actions,
                "effective_horizon": effective_horizon(problem),
                **columns,
                "curvature": curvature.numpy(),
                "log_inner_time": inner.numpy(),
                "inner_time": inner.exp().numpy(),
                "log_step_time": step.numpy(),
                "step_time": step.exp().numpy(),
                "status": np.where(resolved, "ok", "not resolved"),
            }
        )


MEASURED = (*SEARCHED, "independent_noise", "log_coverage", "value_share")
"""Columns that are largest values over the points as they are."""


@dataclass(frozen=True, eq=False)
class _Ball:
    """A problem and the ball of rewards on which its constants are looked for.

    Attributes
    ----------
    exact
        The exact oracle, by the cheapest way: nothing here is a small excess risk.
    unit
        Largest norm of a feature.
    radius
        Of the ball, in units of phi.
    """

    exact: ExactOracle
    unit: float
    radius: float

    @classmethod
    def of(cls, problem: Problem, largest_reward: float) -> _Ball:
        """Return the ball on which rewards are at most ``largest_reward``."""
        way = costs_of(problem, DEFAULT_ENUMERATION_BUDGET).cheapest
        unit = float(problem.features[problem.present_actions].norm(dim=-1).max())
        return cls(ExactOracle(problem, way=way), unit, largest_reward / unit)

    def constants(
        self, points: Float[Tensor, "replicate point d"]
    ) -> dict[str, Float[Tensor, "replicate point"]]:
        """Return the constants at every point, by name."""
        exact, problem, unit = self.exact, self.exact.problem, self.unit
        control, beta, phi = exact.control, problem.kl_weight, points.flatten(0, 1)
        step = STEP * min(1.0, beta) / unit
        limit = penalty_limit(exact, phi)
        noise = noise_limit(control, problem.features / unit, limit)
        reward = exact.reward_model.table(phi)
        log_smallest = log_smallest_curvature(control, limit.optimal, limit.visits)
        log_bound = smoothness_bound(control, reward, effective_horizon(problem)).log()
        bound = divergence_factor(problem) * largest_loss(exact, phi).square() / (4 * beta)
        found = {
            "value_bias": limit.bias / 2,
            "gradient_bias": bias_gradient(exact, phi, step).norm(dim=-1) / (2 * unit),
            "smoothness": spectral_norm_of_hessian(lambda at, _: exact.hypergradient(at), phi, step)
            / unit**2,
            "independent_noise": noise.independent,
            "shared_noise": noise.shared,
            "log_coverage": (control.log_reference - limit.optimal).flatten(1).amax(-1),
            "value_share": limit.bias / (2 * bound),
            "curvature": largest_curvature(control, limit.optimal, limit.visits),
            "log_flatness": -log_smallest,
            "log_step_time": log_time(log_smallest - log_bound),
        }
        return {name: values.reshape(points.shape[:2]) for name, values in found.items()}

    def curvature_at_reference(
        self, points: Float[Tensor, "replicate point d"]
    ) -> Float[Tensor, " replicate"]:
        """Return the largest curvature of g at the reference policy, for rewards on the sphere."""
        outer = points[points.norm(dim=-1) > (1 - 1e-9) * self.radius]
        owner = (points.norm(dim=-1) > (1 - 1e-9) * self.radius).nonzero()[:, 0]
        reward = self.exact.reward_model.table(outer)
        found = curvature_at_reference(self.exact.control, reward)
        return found.new_zeros(len(points)).scatter_reduce(0, owner, found, "amax")


def _around_the_best(
    points: Float[Tensor, "replicate point d"],
    found: dict[str, Float[Tensor, "replicate point"]],
    shifts: Float[Tensor, "replicate searched nearby d"],
) -> Float[Tensor, "replicate near d"]:
    """Return points around the best of each quantity that is searched, shifts in units of its norm."""
    best = torch.stack([found[name].argmax(1) for name in SEARCHED], dim=1)
    centres = points.gather(1, best[..., None].expand(-1, -1, points.shape[-1]))[:, :, None]
    moved: Tensor = centres + centres.norm(dim=-1, keepdim=True) * shifts
    return moved.flatten(1, 2)


def reward_points(
    seeds: Sequence[int], directions: int, shells: int, parameters: int
) -> Float[Tensor, "replicate point d"]:
    """Return points of the unit ball, the outermost shell first, each seed's from its own stream."""
    drawn = np.stack(standard_normals("directions of constants", seeds, (directions, parameters)))
    unit = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))
    return torch.cat([unit / SHELL**shell for shell in range(shells)], dim=1)


def effective_horizon(problem: Problem) -> float:
    """Return ``sum_h gamma^h`` over the steps of an episode, ``1/(1-gamma)`` without a horizon."""
    if problem.horizon is None:
        return 1 / (1 - problem.discount)
    return float(sum(problem.discount**step for step in range(problem.horizon)))


def log_time(log_share: Float[Tensor, " point"]) -> Float[Tensor, " point"]:
    """Return ``log 1/(1-rho)``, ``rho = (1 - x)²`` for x the smallest curvature times the step.

    Parameters
    ----------
    log_share
        ``log x``, at most 0.
    """
    return -log_share - (2 - log_share.exp()).log()
