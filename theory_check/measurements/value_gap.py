"""What an error of the reward costs in value, in problems of a single step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.measurements.base import Measurement, Need
from theory_check.measurements.needs import PREFERENCES, STANDARD_LABELS, kind_of
from theory_check.measurements.units import Units, columns
from theory_check.oracles.control import control_of
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.optima.maximum_likelihood import (
    fit_rewards,
    fit_with_prior,
    predicted_gap,
)
from theory_check.problems import Problem
from theory_check.randomness import standard_normals, streams
from theory_check.recording import Progress
from theory_check.settings import Positive, PositiveInteger

ONE_STEP = Need(
    "a problem of a single step, in which all actions exist",
    lambda problem: problem.horizon == 1 and problem.action_mask is None,
    kind_of,
    "name a problem of family 'bandit', or another with horizon 1 and no action mask",
)

SEGMENT_POINTS = 257
"""Points of a segment between two rewards at which variances are evaluated."""


@dataclass(frozen=True)
class ValueGap(Measurement):
    """The value that a policy loses by being optimal for a wrong reward, and what bounds it.

    ``docs/theory.md`` section 5.13: for a reward ``rhat = r* + d`` the gap ``J* - J(pi_rhat)`` is at most
    ``E_x max Var_f(d) / (2 beta)``, the largest variance of ``d`` under the optimal policies of rewards
    between ``rhat`` and ``r*``. Rows have columns ``seed, policy, scale, gap`` (reward units), ``bound``
    and ``bound_at_optimum``, the same with the variance under ``pi*`` in place of the largest.

    Parameters
    ----------
    scales
        Standard deviations of ``d``, whose entries are normal.
    policies
        Rewards of each scale and seed.
    """

    kind: ClassVar[str] = "value-gap"
    units: ClassVar[Units] = columns(one="policy scale", reward="gap bound bound_at_optimum")
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, ONE_STEP)

    scales: tuple[Positive, ...]
    policies: PositiveInteger

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed, scale and reward."""
        control = control_of(problem)
        frames = []
        for done, scale in enumerate(self.scales, start=1):
            shape = (self.policies, *problem.true_reward.shape)
            drawn = standard_normals(f"reward errors of scale {scale!r}", seeds, shape)
            error = scale * torch.from_numpy(np.stack(drawn)).flatten(0, 1)
            frame = pd.DataFrame(
                {
                    "seed": np.repeat(np.asarray(seeds), self.policies),
                    "policy": np.tile(np.arange(self.policies), len(seeds)),
                    "scale": scale,
                    "gap": gap_of_rewards(control, problem.true_reward, error).numpy(),
                }
            )
            largest, at_optimum = variance_bounds(control, problem.true_reward, error)
            frame["bound"] = largest.numpy()
            frame["bound_at_optimum"] = at_optimum.numpy()
            frames.append(frame)
            progress(done, len(self.scales))
        return pd.concat(frames, ignore_index=True)


def gap_of_rewards(
    control: SoftControl, true_reward: Float[Tensor, "s a"], error: Float[Tensor, "row s a"]
) -> Float[Tensor, " row"]:
    """Return ``J*(r*) - J(r*, pi_(r* + error))``, reward units."""
    optimal = control.optimal_log_policy(true_reward[None])
    chosen = control.optimal_log_policy(true_reward + error)
    return control.lower_gap(chosen, optimal.expand_as(chosen))


def variance_bounds(
    control: SoftControl, true_reward: Float[Tensor, "s a"], error: Float[Tensor, "row s a"]
) -> tuple[Float[Tensor, " row"], Float[Tensor, " row"]]:
    """Return ``E_x Var_f(error) / (2 beta)``: with the largest variance on the segment, and at ``r*``.

    Between two of ``SEGMENT_POINTS`` points, h apart, the logarithm of a variance changes by at most ``h
    range(error) / beta``, since a third cumulant is at most range times variance: half of that is added,
    so that what is called largest is not below it.
    """
    beta = control.kl_weight
    share = torch.linspace(0, 1, SEGMENT_POINTS, dtype=error.dtype)[:, None, None]
    largest = torch.empty(error.shape[:2], dtype=error.dtype)
    for row, each in enumerate(error):
        policy = torch.log_softmax(
            control.log_reference[0] + (true_reward + share * each) / beta, dim=-1
        ).exp()
        mean = (policy * each).sum(-1, keepdim=True)
        largest[row] = (policy * (each - mean).square()).sum(-1).amax(0)
    between = error.amax(-1) - error.amin(-1)
    largest = largest * (between / (2 * beta * (SEGMENT_POINTS - 1))).exp()
    optimal = control.optimal_log_policy(true_reward[None])[0, 0].exp()
    mean = (optimal * error).sum(-1, keepdim=True)
    at_optimum = (optimal * (error - mean).square()).sum(-1)
    weight = control.initial / (2 * beta)
    return largest @ weight, at_optimum @ weight


@dataclass(frozen=True)
class MaximumLikelihoodGap(Measurement):
    """The value that is lost by the maximum-likelihood reward of n labelled pairs.

    ``docs/theory.md`` section 5.13. The reward is a free number for every state and action, whatever
    the reward class. Both members of a pair are drawn independently: a state of the start law, then an
    action of a law that does not depend on what is learned. Rows have columns ``seed, law, pairs, gap``
    (reward units), ``gap_with_prior``, ``predicted`` (``tr(M F^+) / (2 beta n)``) and ``separated``.
    Where the labels separate some items from the others no finite reward maximises the likelihood:
    ``gap`` is NaN, so that none is left out unseen, and a mean over the others is not taken for one over
    all. ``gap_with_prior`` is that of the most probable reward under a wide normal prior, which always
    exists.

    Parameters
    ----------
    pairs
        Numbers n of pairs; each is a sample of its own.
    law
        Of the actions: ``"uniform"``, or ``"skewed"``: falling geometrically from the first to the last.
    decades
        By how many powers of ten it falls in all.
    prior_deviation
        Of the wide prior, reward units.
    """

    kind: ClassVar[str] = "maximum-likelihood-gap"
    units: ClassVar[Units] = columns(
        text="law", pairs="pairs", reward="gap gap_with_prior predicted", flag="separated"
    )
    needs: ClassVar[tuple[Need, ...]] = (PREFERENCES, STANDARD_LABELS, ONE_STEP)

    pairs: tuple[PositiveInteger, ...]
    law: Literal["uniform", "skewed"] = "uniform"
    decades: Positive = 1.0
    prior_deviation: Positive = 10.0

    def measure(self, problem: Problem, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        """Return one row per seed and number of pairs."""
        control = control_of(problem)
        truth = problem.true_reward.flatten()
        law = self._law_of_items(problem)
        policy = control.optimal_log_policy(problem.true_reward[None])[0, 0].exp()
        predicted = predicted_gap(
            law, truth, choice_covariance(problem.initial, policy), problem.kl_weight
        )
        preferred = torch.sigmoid(truth[:, None] - truth[None, :])
        # A pair and its label are an ordered pair (winner, loser), docs/theory.md section 4.6.
        winners = (2 * law[:, None] * law[None, :] * preferred).numpy().ravel()
        frames = []
        for done, number in enumerate(self.pairs, start=1):
            drawn = [
                stream.multinomial(number, winners / winners.sum())
                for stream in streams(f"{self.law} pairs, {number}", seeds)
            ]
            wins = torch.from_numpy(np.stack(drawn).astype(np.float64))
            wins = wins.reshape(len(seeds), len(truth), len(truth))
            fit = fit_rewards(wins)
            gap = torch.full((len(seeds),), torch.nan, dtype=torch.float64)
            gap[fit.exists] = self._gap(problem, control, fit.reward[fit.exists])
            with_prior = self._gap(problem, control, fit_with_prior(wins, self.prior_deviation))
            frames.append(
                pd.DataFrame(
                    {
                        "seed": list(seeds),
                        "law": self.law,
                        "pairs": number,
                        "gap": gap.numpy(),
                        "gap_with_prior": with_prior.numpy(),
                        "predicted": predicted / number,
                        "separated": ~fit.exists.numpy(),
                    }
                )
            )
            progress(done, len(self.pairs))
        return pd.concat(frames, ignore_index=True)

    @staticmethod
    def _gap(
        problem: Problem, control: SoftControl, reward: Float[Tensor, "row item"]
    ) -> Float[Tensor, " row"]:
        """Return what policies that are optimal for rewards of items lose."""
        error = reward.reshape(-1, *problem.true_reward.shape) - problem.true_reward
        return gap_of_rewards(control, problem.true_reward, error)

    def _law_of_items(self, problem: Problem) -> Float[Tensor, " item"]:
        """Return the law of one member of a pair."""
        fall = self.decades if self.law == "skewed" else 0.0
        exponents = torch.linspace(0, fall, problem.actions, dtype=torch.float64)
        actions = torch.softmax(-np.log(10) * exponents, dim=0)
        return (problem.initial[:, None] * actions).flatten()


def choice_covariance(
    start: Float[Tensor, " s"], policy: Float[Tensor, "s a"]
) -> Float[Tensor, "item item"]:
    """Return ``E_x[ diag pi - pi pi^T ]`` over pairs of state and action."""
    blocks = torch.diag_embed(policy) - policy[:, :, None] * policy[:, None, :]
    states, actions = policy.shape
    found = policy.new_zeros(states, actions, states, actions)
    each = torch.arange(states)
    found[each, :, each] = start[:, None, None] * blocks
    return found.flatten(2).flatten(0, 1)
