"""Two-stage and greedy sampling: what is drawn when, and the value gap against its leading term."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.value_gap import leading_gap, optimal_log_policy, pair_information, value_gap
from torch import Tensor

from theory_check.oracles import ExactOracle
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem, bandit
from theory_check.solvers import GreedySampling, TwoStage
from theory_check.solvers.two_stage import StagedSettings

PROBLEM = bandit(contexts=2, actions=3, features=3, objective="excess_risk")
NUMBERS = (10**3, 10**4, 10**5, 10**6)
REPLICATES = 256
KINDS = pytest.mark.parametrize("kind", [TwoStage, GreedySampling])


def configured(kind: type[StagedSettings], pairs: int, steps: int) -> StagedSettings:
    return kind(
        pairs=pairs,
        first_pairs=pairs,
        first_steps=steps,
        step_size=2.0,
        inner_steps=1,
        inner_step_size=0.5,
        trajectories=1000,
    )


def gaps(problem: Problem, kind: type[StagedSettings], pairs: int) -> Tensor:
    """Return the value gap of the Gibbs policy of the last reward, for every seed.

    After 300 steps in each stage the gradient of the likelihood is below 1e-5.
    """
    solver, seeds = configured(kind, pairs, 300), range(REPLICATES)
    tools = instruments_for(problem, seeds)
    state = tools.initial_state(solver, seeds, 1.0)
    for _ in range(300):
        state = solver.step(tools.sampled, state)  # type: ignore[attr-defined]
    assert state.estimate.norm(dim=-1).max() < 1e-5
    return value_gap(problem, ExactOracle(problem).optimal_policy(state.next_upper))


def predicted(problem: Problem, kind: type[StagedSettings]) -> float:
    """Return the limit of ``n E gap`` for ``m = n`` pairs in each stage.

    The second stage draws from ``pi*`` once n is large; a greedy pair has half of the information of
    each of the two mixtures that make up a pair of the mean policy.
    """
    reference = problem.reference_policy.log()[None]
    best = optimal_log_policy(problem)
    first, second = pair_information(problem, reference), pair_information(problem, best)
    if kind is GreedySampling:
        # Information is bilinear in the laws: that of (pi + pi_ref)/2 holds a quarter of each
        # own pair and half of the mixed one.
        mean = torch.log((reference.exp() + best.exp()) / 2)
        second = 2 * (pair_information(problem, mean) - (first + second) / 4)
    return leading_gap(problem, first + second)


@pytest.mark.slow
@KINDS
def test_the_value_gap_falls_like_one_over_n(kind: type[StagedSettings]) -> None:
    """Exponent and constant at n = 1e3 to 1e6, each up to 5 standard errors: false alarm 6e-7.

    The constant from n = 1e4 on, where terms of relative order 1/n are below the standard error.
    A rate of ``n^-1/2``, planted, is 20 standard errors away.
    """
    found = torch.stack([gaps(PROBLEM, kind, n) for n in NUMBERS]).numpy()
    means = found.mean(1)
    relative = found.std(1, ddof=1) / math.sqrt(REPLICATES) / means
    x = np.log(NUMBERS) - np.log(NUMBERS).mean()
    slope = (x @ np.log(means)) / (x @ x)
    error = math.sqrt((x**2) @ relative**2) / (x @ x)
    assert error < 0.02
    assert abs(slope + 1) < 5 * error
    assert abs(slope + 0.5) > 20 * error
    share = means * NUMBERS / predicted(PROBLEM, kind)
    assert (np.abs(share - 1)[1:] < 5 * relative[1:]).all(), share


def test_the_prediction_tells_the_methods_and_their_stages_apart() -> None:
    both = [predicted(PROBLEM, kind) for kind in (TwoStage, GreedySampling)]
    reference = PROBLEM.reference_policy.log()[None]
    one_stage = leading_gap(PROBLEM, pair_information(PROBLEM, reference))
    assert all(each < 0.8 * one_stage for each in both)
    assert both[0] != pytest.approx(both[1], rel=1e-3)


@KINDS
def test_what_each_stage_draws_is_joined(kind: type[StagedSettings]) -> None:
    """With exact laws: ``(m D_1 + n D_2) / (m + n)``, D_2 of the policy when the first stage ends.

    The first stage is repeated here by the operations of the oracle, one by one.
    """
    solver = replace(configured(kind, 30, 3), first_pairs=10)
    tools = instruments_for(PROBLEM, [0, 1])
    oracle: Any = tools.information
    start = tools.initial_state(solver, [0, 1], 1.0)
    first = oracle.preference_data(start.lower, 1)
    reward, lower = start.next_upper, start.lower
    for _ in range(3):
        lower = lower - 0.5 * oracle.lower_gradient(reward, lower, 1)
        reward = reward - 2.0 * oracle.data_gradient(reward, first)
    assert (lower - start.lower).abs().max() > 1e-2
    opponent = lower if kind is TwoStage else start.lower
    expected = 0.25 * first + 0.75 * oracle.preference_data_between(lower, opponent, 1)
    assert (expected - first).abs().max() > 1e-4
    path: list[Any] = []
    state = solver.step(oracle, start, path)  # type: ignore[attr-defined]
    # What is reported goes on from where the run started.
    assert torch.equal(state.upper, start.next_upper)
    assert len(path) == 4
    torch.testing.assert_close(path[3][0], lower, rtol=1e-12, atol=1e-14)
    for _ in range(3):
        torch.testing.assert_close(state.data, expected, rtol=1e-12, atol=1e-15)
        state = solver.step(oracle, state)  # type: ignore[attr-defined]


@KINDS
def test_what_each_stage_draws_is_counted(kind: type[StagedSettings]) -> None:
    solver = replace(configured(kind, 30, 3), first_pairs=10)
    tools = instruments_for(PROBLEM, [0, 1])
    oracle, state = tools.sampled, tools.initial_state(solver, [0, 1], 1.0)
    labels, rollouts = [], []
    for _ in range(3):
        state = solver.step(oracle, state)  # type: ignore[attr-defined]
        labels.append(oracle.counts.labels)
        rollouts.append(oracle.counts.trajectories)
    assert labels == [40, 40, 40]
    assert rollouts == [2 * 40 + 4000, 2 * 40 + 5000, 2 * 40 + 6000]
