"""Gaps of the lower level along exact policy gradient, beside the curves that bound them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES, kind_of
from theory_check.measurements.units import Units, columns
from theory_check.oracles.control import control_of
from theory_check.oracles.control.lower_geometry import lower_geometry, policy_gradient
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.settings import Positive, PositiveInteger

STATIONARY = Need(
    "a discounted problem or one of a single step, in which all actions exist",
    lambda problem: problem.horizon in (None, 1) and problem.action_mask is None,
    kind_of,
    "name a problem with horizon 1 or without one, and without an action mask",
)
ONE_STATE = Need(
    "a problem of one state and one step, in which all actions exist",
    lambda problem: problem.horizon == 1 and problem.states == 1 and problem.action_mask is None,
    kind_of,
    "name a problem of family 'bandit' with contexts = 1",
)

PLANTED_GAIN = 4.4
"""A wrong factor of the gain of a step: in the limit of small gaps at uniform policies of two actions
every step gains four times what the bound says."""

PLANTED_GAIN_WITHOUT_KL = 2.2
"""The same without a KL term, where near the optimum of two actions it is twice."""


@dataclass(frozen=True)
class InnerCurve(Measurement):
    """``J* - J(lambda_k)`` along softmax policy gradient with exact gradients, and its bound.

    ``docs/theory.md`` section 5.13: with the step ``1/beta_s`` of :func:`smoothness` every step leaves
    at most the share ``1 - C(lambda)² / (2 beta_s)`` of the gap, C as in section 5.4, computed at every
    iterate. Each seed has its own reward and starts at the reference policy plus noise in the logits.
    Rows have columns ``seed, inner_iteration`` (from 1), ``lower_gap`` (reward units), ``bound``,
    ``planted_bound`` (with ``PLANTED_GAIN`` times ``C²``) and ``resolved`` (as in
    ``theory_check.oracles.control``).

    Parameters
    ----------
    inner_steps
        Number of gradient steps.
    points_per_decade
        Density of the log-spaced recorded steps.
    point_scale
        Standard deviation of the reward parameters.
    start_scale
        Standard deviation of the noise in the logits of the start.
    """

    kind: ClassVar[str] = "inner-curve"
    units: ClassVar[Units] = columns(
        inner="inner_iteration", reward="lower_gap bound planted_bound", flag="resolved"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, STATIONARY)

    inner_steps: PositiveInteger
    points_per_decade: PositiveInteger = 8
    point_scale: Positive = 1.0
    start_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded step."""
        control, model = control_of(problem), problem.reward_model
        reward = model.table(initial_reward(seeds, model, self.point_scale))
        optimal = control.optimal_log_policy(reward)
        smooth = smoothness(problem, reward)
        noise = standard_normals("start of an inner curve", seeds, control.policy_shape)
        logits = control.log_reference + self.start_scale * torch.from_numpy(np.stack(noise))
        log_policy = control.normalised(logits)
        recorded = recording_grid(self.inner_steps, self.points_per_decade)
        frames = []
        bound = planted = control.lower_gap(log_policy, optimal)
        for step in range(1, self.inner_steps + 1):
            gain = lower_geometry(control, reward, log_policy, optimal).constant.square()
            gain = gain / (2 * smooth)
            bound = bound * (1 - gain)
            # A planted share of the gap that would be negative is none.
            planted = planted * (1 - PLANTED_GAIN * gain).clamp_min(0.0)
            ascent = policy_gradient(control, log_policy, optimal) / smooth[:, None, None, None]
            logits = logits + ascent
            log_policy = control.normalised(logits)
            if step in recorded:
                found = lower_geometry(control, reward, log_policy, optimal)
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "inner_iteration": step,
                            "lower_gap": found.gap.numpy(),
                            "bound": bound.numpy(),
                            "planted_bound": planted.numpy(),
                            "resolved": found.resolved.numpy(),
                        }
                    )
                )
                progress(step, self.inner_steps)
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the order of the steps."""
        return self.inner_steps / 1e3


def smoothness(
    problem: Problem, reward: Float[Tensor, "replicate s a"]
) -> Float[Tensor, " replicate"]:
    """Return ``beta_s = (8 R + beta (4 + 8 log A)) / (1 - gamma)³``, which bounds ``‖∂²_lambda J‖``.

    2005.06392, Lemmas 7 and 14, R the range of ``r + beta log pi_ref`` over states and actions; a problem
    of one step is one of discount 0.
    """
    control, beta = control_of(problem), problem.kl_weight
    shifted = (reward + beta * control.log_reference[0]).flatten(1)
    spread = shifted.amax(-1) - shifted.amin(-1)
    ahead = 1.0 if problem.horizon == 1 else 1 - problem.discount
    return (8 * spread + beta * (4 + 8 * float(np.log(problem.actions)))) / ahead**3


@dataclass(frozen=True)
class BanditCurve(Measurement):
    """The gap of one state along softmax policy gradient without a KL term, and its bounds.

    ``docs/theory.md`` section 5.13; 2005.06392, Theorem 2. Rewards are those of the seed's reward
    parameters, shifted and scaled to [0, 1], with the largest ``optimal_actions`` set to 1; the policy
    starts uniform, the step is 2/5. Neither the KL weight nor the reference policy plays a part. Rows
    have columns ``seed, inner_iteration`` (from 1), ``gap`` and what bounds it:

    * ``bound``: ``1 / (1/gap_0 + sum_{j<k} kappa_j / 5)``, ``kappa = sum pi(a*)² + (sum pi(a*))² / (A -
      m)`` over the m optimal actions, computed at every iterate;
    * ``bound_of_source``: ``5 / (k c_k²)``, ``c_k`` the smallest ``sum pi(a*)`` before step k: proved
      for one optimal action, and false for many;
    * ``planted_bound``: the first with ``PLANTED_GAIN_WITHOUT_KL`` times ``kappa``.

    Parameters
    ----------
    inner_steps
        Number of gradient steps.
    optimal_actions
        How many actions tie; less than there are.
    points_per_decade
        Density of the log-spaced recorded steps.
    """

    kind: ClassVar[str] = "bandit-curve"
    units: ClassVar[Units] = columns(
        inner="inner_iteration", reward="gap bound bound_of_source planted_bound"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, ONE_STATE)

    inner_steps: PositiveInteger
    optimal_actions: PositiveInteger = 1
    points_per_decade: PositiveInteger = 8

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and recorded step."""
        reward = self._rewards(problem, seeds)
        optimal = reward == 1.0
        others = reward.shape[1] - self.optimal_actions
        logits = np.zeros_like(reward)
        recorded = recording_grid(self.inner_steps, self.points_per_decade)
        gained, smallest = np.zeros(len(seeds)), np.ones(len(seeds))
        policy = np.full_like(reward, 1 / reward.shape[1])
        cost = 1 - reward
        start = (policy * cost).sum(-1)
        frames = []
        for step in range(1, self.inner_steps + 1):
            chosen = np.where(optimal, policy, 0.0)
            total = chosen.sum(-1)
            smallest = np.minimum(smallest, total)
            gained += (np.square(chosen).sum(-1) + total**2 / others) / 5
            gap = (policy * cost).sum(-1, keepdims=True)
            logits += 0.4 * policy * (gap - cost)
            logits -= logits.max(-1, keepdims=True)
            policy = np.exp(logits)
            policy /= policy.sum(-1, keepdims=True)
            if step in recorded:
                frames.append(
                    pd.DataFrame(
                        {
                            "seed": list(seeds),
                            "inner_iteration": step,
                            "gap": (policy * cost).sum(-1),
                            "bound": 1 / (1 / start + gained),
                            "bound_of_source": 5 / (step * smallest**2),
                            "planted_bound": 1 / (1 / start + PLANTED_GAIN_WITHOUT_KL * gained),
                        }
                    )
                )
                progress(step, self.inner_steps)
        return pd.concat(frames, ignore_index=True)

    def relative_cost(self) -> float:
        """Return the order of the steps."""
        return self.inner_steps / 1e4

    def _rewards(self, problem: Problem, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return the rewards of the seeds, shape (replicate, action)."""
        if self.optimal_actions >= problem.actions:
            raise InvalidArgumentError(
                "optimal_actions",
                self.optimal_actions,
                f"pass less than the {problem.actions} actions of the problem",
            )
        reward = unit_rewards(problem, seeds)[:, 0].numpy()
        best = np.argsort(reward, axis=-1)[:, -self.optimal_actions :]
        np.put_along_axis(reward, best, 1.0, axis=-1)
        return reward


def unit_rewards(problem: Problem, seeds: Sequence[int]) -> Float[Tensor, "replicate s a"]:
    """Return the rewards of the seeds' initial parameters, shifted and scaled to [0, 1]."""
    model = problem.reward_model
    reward = model.table(initial_reward(seeds, model, 1.0))
    low, high = reward.amin((1, 2), keepdim=True), reward.amax((1, 2), keepdim=True)
    return (reward - low) / (high - low)


def largest_curvature(
    control: SoftControl,
    reward: Float[Tensor, "replicate s a"],
    logits: Float[Tensor, "replicate h s a"],
    step: float = 1e-4,
) -> Float[Tensor, " replicate"]:
    """Return ``‖∂²_lambda J‖`` by central differences of exact gradients, to check :func:`smoothness`.

    The differences err by a share of order step² = 1e-8, and by 1e-16 / step.
    """
    optimal = control.optimal_log_policy(reward)
    columns = []
    for direction in torch.eye(logits[0].numel(), dtype=logits.dtype):
        shift = step * direction.reshape(logits.shape[1:])
        ahead, behind = (
            policy_gradient(control, control.normalised(logits + sign * shift), optimal)
            for sign in (1, -1)
        )
        columns.append(((ahead - behind) / (2 * step)).flatten(1))
    found: Tensor = torch.linalg.matrix_norm(torch.stack(columns, dim=-1), ord=2)
    return found
