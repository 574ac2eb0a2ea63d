"""The constants of the bounds on one problem: bias, smoothness, inner rate, noise and coverage, exactly."""

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

# Of the length on which pi* changes: differences err by its square over 6, and rounding adds 1e-14 over it
# and over the KL weight, 1e-9 at the smallest one.
STEP = 1e-3
SHELL = 4.0
"""Ratio of the distances of two shells of points."""


@dataclass(frozen=True)
class Constants(Measurement):
    """Worst constants of the penalty method over a ball of rewards (``docs/theory.md`` section 5.13).

    Nothing is sampled but the points: every seed has ``directions`` random ones, and on each ``shells`` points
    at distances that fall by a factor 4, so that what happens on the scale of a small KL weight is seen as
    well. Features count in units of their largest norm: ``|r_phi|`` is at most ``largest_reward`` whatever the
    sizes of the problem, and gradients, Hessians and variances are in the same units.

    Rows have columns ``seed, kl_weight, states, actions``, ``effective_horizon`` (``sum_h gamma^h``) and, the
    largest over the points each: ``value_bias`` and ``gradient_bias`` (``|Phi_sigma - Phi|`` and ``‖∇Phi_sigma - ∇Phi‖``
    over sigma, in the limit), ``smoothness`` (``‖∇²Phi‖``), ``independent_noise`` and ``shared_noise`` (``sigma² n`` and
    ``n`` times the variance of the penalty difference, in the limit), ``log_coverage`` (``log max pi_ref/pi*``),
    ``curvature`` (``‖∇²g‖``, at the reference policy and at ``lambda*``), ``log_inner_time`` and ``log_step_time``
    (``log 1/(1-rho)``, rho the factor by which the gap falls in a step near ``lambda*``, the step one over ``curvature``
    or over ``beta_s`` of 2005.06392), ``inner_time`` and ``step_time`` (``1/(1-rho)``), ``value_share`` (``value_bias`` over its bound at
    the same point), and ``status`` (``"not resolved"`` where a state is visited too rarely for floating point).

    Parameters
    ----------
    directions
        Directions of points.
    shells
        Points on each.
    largest_reward
        Radius of the ball, in reward units.
    """

    kind: ClassVar[str] = "constants"
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, LINEAR_AND_TABULAR)

    directions: PositiveInteger = 64
    shells: PositiveInteger = 3
    largest_reward: Positive = 2.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed."""
        # Nothing here is a small excess risk, so that the cheapest way is as good as any.
        way = costs_of(problem, DEFAULT_ENUMERATION_BUDGET).cheapest
        exact = ExactOracle(problem, way=way)
        control, beta = exact.control, problem.kl_weight
        unit = largest_feature(problem)
        points = reward_points(seeds, self.directions, self.shells, problem.parameters)
        points *= self.largest_reward / unit
        phi = points.flatten(0, 1)
        step = STEP * min(1.0, beta) / unit

        def largest(values: Float[Tensor, " point"]) -> Float[Tensor, " replicate"]:
            return values.reshape(points.shape[:2]).amax(-1)

        limit = penalty_limit(exact, phi)
        progress(1, 4)
        gradient = bias_gradient(exact, phi, step).norm(dim=-1) / 2
        progress(2, 4)
        smoothness = spectral_norm_of_hessian(lambda at, _: exact.hypergradient(at), phi, step)
        progress(3, 4)
        noise = noise_limit(control, problem.features / unit, limit)
        reward = exact.reward_model.table(phi)
        outer = reward.reshape(*points.shape[:2], *reward.shape[1:])[:, : self.directions]
        at_reference = curvature_at_reference(control, outer.flatten(0, 1))
        curvature = torch.maximum(
            at_reference.reshape(len(seeds), -1).amax(-1),
            largest(largest_curvature(control, limit.optimal, limit.visits)),
        )
        log_smallest = log_smallest_curvature(control, limit.optimal, limit.visits)
        horizon = effective_horizon(problem)
        log_bound = smoothness_bound(control, reward, horizon).log()
        log_curvature = curvature.log().repeat_interleave(points.shape[1])
        log_inner_time = largest(log_time(log_smallest - log_curvature))
        log_step_time = largest(log_time(log_smallest - log_bound))
        bound = divergence_factor(problem) * largest_loss(exact, phi).square() / (4 * beta)
        progress(4, 4)
        return pd.DataFrame(
            {
                "seed": list(seeds),
                "kl_weight": beta,
                "states": problem.states,
                "actions": problem.actions,
                "effective_horizon": horizon,
                "value_bias": (largest(limit.bias) / 2).numpy(),
                "gradient_bias": (largest(gradient) / unit).numpy(),
                "smoothness": (largest(smoothness) / unit**2).numpy(),
                "independent_noise": largest(noise.independent).numpy(),
                "shared_noise": largest(noise.shared).numpy(),
                "log_coverage": largest(
                    (control.log_reference - limit.optimal).flatten(1).amax(-1)
                ).numpy(),
                "curvature": curvature.numpy(),
                "log_inner_time": log_inner_time.numpy(),
                "inner_time": log_inner_time.exp().numpy(),
                "log_step_time": log_step_time.numpy(),
                "step_time": log_step_time.exp().numpy(),
                "value_share": largest(limit.bias / (2 * bound)).numpy(),
                "status": np.where(
                    torch.isfinite(largest(-log_smallest)).numpy(), "ok", "not resolved"
                ),
            }
        )


def reward_points(
    seeds: Sequence[int], directions: int, shells: int, parameters: int
) -> Float[Tensor, "replicate point d"]:
    """Return points of the unit ball, those of the outermost shell first, each seed's from its own stream."""
    drawn = np.stack(standard_normals("directions of constants", seeds, (directions, parameters)))
    unit = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))
    return torch.cat([unit / SHELL**shell for shell in range(shells)], dim=1)


def largest_feature(problem: Problem) -> float:
    """Return the largest norm of the features of an action that exists."""
    return float(problem.features[problem.present_actions].norm(dim=-1).max())


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
