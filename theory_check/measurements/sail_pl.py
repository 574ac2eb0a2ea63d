"""The Polyak-Lojasiewicz constant of SAIL's objective on balls of policies, pulled back or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import ENUMERATION, PREFERENCES
from theory_check.measurements.units import Units, columns
from theory_check.oracles.optima.policy_objective import PolicyObjective
from theory_check.problems import Problem
from theory_check.randomness import streams
from theory_check.recording import Progress
from theory_check.settings import NonNegative, Positive, PositiveInteger

RESOLVED = 1e-9
"""Gap, nats, below which rounding has a part in the ratio of a random policy."""

APART = 1e-6
"""Gap, nats, above which a stationary point is another one than the minimum of its ball."""

SOLVING_STEPS = 60


@dataclass(frozen=True)
class SAILPL(Measurement):
    """Smallest ``‖∇F_c‖² / (2 (F_c - F_c*))`` over policies in balls of logits.

    Balls are around the logits of the reference policy, where ``R_pi = 0``, modulo shifts of rows.
    Policies of a seed are random ones of every ball, in uniform directions at uniform distances, and the
    points to which damped Gauss-Newton steps on ``∇F_c = 0`` lead from random starts, of any kind.
    ``F_c*`` is the least value found *within the ball*: at least the infimum, there or anywhere, so that
    an inequality that fails fails for it too.

    Rows have columns ``seed, pull, radius, constant`` (nats), ``random`` (the same over random policies
    alone), ``stationary`` (points that were led to zeros of the gradient in the ball other than its
    minimum, at which the ratio is rounding) and ``least`` (``F_c*``, nats).

    Parameters
    ----------
    pulls
        ``c / beta`` of every objective.
    radii
        Of the balls, in logits.
    policies
        Random policies of every ball, for each seed.
    starts
        From which zeros of the gradient are solved for, for each seed.
    """

    kind: ClassVar[str] = "sail-pl"
    units: ClassVar[Units] = columns(one="pull radius stationary", nats="constant random least")
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, ENUMERATION)

    pulls: tuple[NonNegative, ...]
    radii: tuple[Positive, ...]
    policies: PositiveInteger
    starts: PositiveInteger

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, pull and radius."""
        self.require_problem("problem", problem, getattr(problem, "name", ""))
        radii = sorted(self.radii)
        frames = []
        for done, pull in enumerate(sorted(self.pulls), start=1):
            objective = PolicyObjective(problem, pull)
            reaches = torch.tensor(radii, dtype=torch.float64)
            everywhere = reaches.repeat_interleave(self.policies)
            random = _in_balls("policies in balls", seeds, objective, everywhere)
            start = _in_balls("starts", seeds, objective, reaches[-1].expand(self.starts))
            frames += [
                _rows(objective, seed, radii, random[number], start[number])
                for number, seed in enumerate(seeds)
            ]
            progress(done, len(self.pulls))
        order = ["seed", "pull", "radius"]
        table = pd.concat(frames).sort_values(order, kind="stable")
        return table.reset_index(drop=True)

    def relative_cost(self) -> float:
        """Return the order of the number of policies."""
        return len(self.pulls) * (self.policies * len(self.radii) + 2000 * self.starts) / 1e5


@dataclass(frozen=True, eq=False)
class _Points:
    """Value, squared gradient and distance from the reference policy, shape (point,)."""

    value: Float[Tensor, " point"]
    slope: Float[Tensor, " point"]
    distance: Float[Tensor, " point"]

    @classmethod
    def at(cls, objective: PolicyObjective, logits: Float[Tensor, "point h s a"]) -> _Points:
        away = logits - objective.control.log_reference
        return cls(
            objective.value(logits),
            objective.gradient(logits).flatten(1).square().sum(-1),
            objective.visible(away).flatten(1).norm(dim=-1),
        )


def _in_balls(
    purpose: str,
    seeds: Sequence[int],
    objective: PolicyObjective,
    reaches: Float[Tensor, " policy"],
) -> Float[Tensor, "seed policy h s a"]:
    """Return logits: uniform directions, and a uniform share of the reach of each policy."""
    reference = objective.control.log_reference
    drawn = []
    for stream in streams(purpose, seeds):
        noise = torch.from_numpy(stream.standard_normal((len(reaches), *reference.shape)))
        directions = objective.visible(noise)
        lengths = directions.flatten(1).norm(dim=-1)
        shares = reaches * torch.from_numpy(stream.random(len(reaches))) / lengths
        drawn.append(reference + shares[:, None, None, None] * directions)
    return torch.stack(drawn)


def _rows(
    objective: PolicyObjective,
    seed: int,
    radii: Sequence[float],
    random: Float[Tensor, "policy h s a"],
    start: Float[Tensor, "start h s a"],
) -> pd.DataFrame:
    """Return the rows of one seed and objective."""
    solved = objective.stationary(start, iterations=SOLVING_STEPS)
    zeros = solved.logits[solved.certified]
    reference = objective.control.log_reference[None]
    ends = objective.minimised(torch.cat([reference, start]))
    points = _Points.at(objective, torch.cat([random, zeros, ends]))
    number = torch.arange(len(points.value))
    is_random = number < len(random)
    is_zero = ~is_random & (number < len(random) + len(zeros))
    rows = []
    for radius in radii:
        inside = points.distance <= radius
        least = points.value[inside].min()
        gap = points.value - least
        ratio = points.slope / (2 * gap)
        drawn = ratio[inside & is_random & (gap > RESOLVED)]
        others = ratio[inside & is_zero & (gap > APART)]
        by_chance = min(drawn.tolist(), default=float("inf"))
        rows.append(
            {
                "seed": seed,
                "pull": objective.pull,
                "radius": radius,
                "constant": min([by_chance, *others.tolist()]),
                "random": by_chance,
                "stationary": len(others),
                "least": least.item(),
            }
        )
    return pd.DataFrame(rows)
