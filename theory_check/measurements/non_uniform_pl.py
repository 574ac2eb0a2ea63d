"""The non-uniform Lojasiewicz inequality of the lower level, at many policies."""

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
from theory_check.measurements.needs import PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.control import control_of
from theory_check.oracles.control.lower_geometry import (
    LowerGeometry,
    lower_geometry,
    policy_gradient,
)
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem
from theory_check.randomness import standard_normals
from theory_check.recording import Progress
from theory_check.recording.recorder import recording_grid
from theory_check.settings import Positive, PositiveInteger

SEARCH_SCALES = (1.0, 0.3, 0.1, 0.03)
"""Standard deviations of the moves of a search, in turn."""


@dataclass(frozen=True)
class NonUniformPL(Measurement):
    """``‖∂_lambda J‖ / (C sqrt(J* - J))``, which 2005.06392, Lemma 15 bounds from below by 1.

    Each seed has its own reward. Policies come from four ``source``s: ``"random"`` logits, normal of
    each scale; ``"near optimum"``, the optimal logits plus normal ones of each scale; ``"run"``, exact
    policy gradient from the reference policy; ``"search"``, ends of random searches for the smallest
    ratio, started at random policies.

    Rows have columns ``seed, policy`` (number within the seed), ``source, lower_gap, gradient_norm,
    ratio`` (with the constant of ``docs/theory.md`` section 5.4), ``paper_ratio`` (with that of the
    lemma) and ``resolved``: whether rounding leaves the ratios alone.

    Parameters
    ----------
    scales
        Standard deviations of the random logits.
    near_scales
        Standard deviations of the displacement from the optimal logits.
    policies
        Random policies of each scale, for each seed.
    run_steps, step_size
        Length and step of the policy gradient run; the step is divided by ``sum_h gamma^h``.
    searches, search_steps
        Number of searches for each seed, and of their proposals.
    point_scale
        Standard deviation of the reward parameters.
    """

    kind: ClassVar[str] = "non-uniform-pl"
    units: ClassVar[Units] = columns(
        one="policy ratio paper_ratio",
        text="source",
        reward="lower_gap",
        norm="gradient_norm",
        flag="resolved",
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES,)

    scales: tuple[Positive, ...]
    near_scales: tuple[Positive, ...]
    policies: PositiveInteger
    run_steps: PositiveInteger
    step_size: Positive
    searches: PositiveInteger
    search_steps: PositiveInteger
    point_scale: Positive = 1.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and policy."""
        control = control_of(problem)
        model = problem.reward_model
        reward = model.table(initial_reward(seeds, model, self.point_scale))
        level = _Level(control, reward, control.optimal_log_policy(reward))
        drawn = self._drawn(level, seeds)
        frames = [_rows(seeds, source, level, logits) for source, logits in drawn.items()]
        progress(1, 3)
        frames.append(_rows(seeds, "run", level, self._run(level)))
        progress(2, 3)
        found = self._search(level, drawn["random"], seeds)
        frames.append(_rows(seeds, "search", level, found))
        progress(3, 3)
        table = pd.concat(frames, ignore_index=True).sort_values("seed", kind="stable")
        table.insert(1, "policy", table.groupby("seed").cumcount())
        return table.reset_index(drop=True)

    def _drawn(self, level: _Level, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return random logits, and logits near the optimum, shapes (policy, seed, h, s, a)."""
        shape = level.optimal.shape[1:]
        purposes = {"random": self.scales, "near optimum": self.near_scales}
        noise = {
            source: torch.cat(
                [
                    scale * block
                    for scale, block in zip(
                        scales,
                        _normal(f"{source} policies", seeds, (len(scales), self.policies, *shape)),
                        strict=True,
                    )
                ]
            )
            for source, scales in purposes.items()
        }
        return {**noise, "near optimum": noise["near optimum"] + level.optimal}

    def _run(self, level: _Level) -> Float[Tensor, "policy seed h s a"]:
        """Return logits along policy gradient from the reference policy."""
        control = level.control
        weight = control.discounted_occupancy(control.log_reference[None]).sum().item()
        logits = control.log_reference.expand_as(level.optimal)
        recorded = recording_grid(self.run_steps, 10) | {0}
        path = []
        for step in range(self.run_steps + 1):
            if step in recorded:
                path.append(logits)
            log_policy = control.normalised(logits)
            gradient = policy_gradient(control, log_policy, level.optimal)
            logits = logits + self.step_size / weight * gradient
        return torch.stack(path)

    def _search(
        self, level: _Level, random: Float[Tensor, "policy seed h s a"], seeds: Sequence[int]
    ) -> Float[Tensor, "search seed h s a"]:
        """Return logits with small ratios: proposals are kept when they lower a resolved ratio."""
        starts = torch.arange(self.searches) % len(random)
        logits = random[starts].clone()
        best = level.resolved_ratio(logits)
        shape = (self.search_steps, self.searches, *level.optimal.shape[1:])
        for step, noise in enumerate(_normal("search for a small ratio", seeds, shape)):
            proposal = logits + SEARCH_SCALES[step % len(SEARCH_SCALES)] * noise
            ratio = level.resolved_ratio(proposal)
            logits = torch.where((ratio < best)[..., None, None, None], proposal, logits)
            best = torch.minimum(ratio, best)
        return logits


@dataclass(frozen=True, eq=False)
class _Level:
    """The lower level of every seed: dynamics, rewards and optimal policies."""

    control: SoftControl
    reward: Float[Tensor, "seed s a"]
    optimal: Float[Tensor, "seed h s a"]

    def geometry(self, logits: Float[Tensor, "policy seed h s a"]) -> LowerGeometry:
        """Evaluate many policies of every seed, flattened to (policy seed)."""
        policies = logits.shape[0]
        return lower_geometry(
            self.control,
            self.reward.repeat(policies, 1, 1),
            self.control.normalised(logits).flatten(0, 1),
            self.optimal.repeat(policies, 1, 1, 1),
        )

    def resolved_ratio(self, logits: Tensor) -> Float[Tensor, "policy seed"]:
        """Return the ratio, infinite where rounding matters."""
        found = self.geometry(logits)
        return torch.where(found.resolved, found.ratio, torch.inf).reshape(logits.shape[:2])


def _normal(purpose: str, seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Return standard normal numbers, the seeds in the third dimension: (x, y, seed, ...)."""
    return torch.from_numpy(np.stack(standard_normals(purpose, seeds, shape), axis=2))


def _rows(
    seeds: Sequence[int], source: str, level: _Level, logits: Float[Tensor, "policy seed h s a"]
) -> pd.DataFrame:
    found = level.geometry(logits)
    return pd.DataFrame(
        {
            "seed": np.tile(np.asarray(seeds), logits.shape[0]),
            "source": source,
            "lower_gap": found.gap.numpy(),
            "gradient_norm": found.gradient_norm.numpy(),
            "ratio": found.ratio.numpy(),
            "paper_ratio": found.paper_ratio.numpy(),
            "resolved": found.resolved.numpy(),
        }
    )
