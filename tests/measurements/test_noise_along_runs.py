"""The noise along runs: against the trace of the same run, and separate inner batches as a plant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from theory_check import problems
from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.claims.gradient_noise import GROWTHS
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.gradient_noise import NoiseAlongRuns
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import instruments_for
from theory_check.recording.run import run

PROBLEM = problems.bandit(contexts=2, actions=3, features=3)
SEEDS = range(5, 9)


def silent(done: int, total: int) -> None: ...


def measurement(**changes: Any) -> NoiseAlongRuns:
    settings: dict[str, Any] = {
        "sigmas": (0.1, 0.01),
        "trajectories": 50,
        "iterations": 3,
        "inner_steps": 4,
        "inner_step_size": 0.5,
        "step_size": 0.2,
    }
    return NoiseAlongRuns(**(settings | changes))


@pytest.mark.slow
def test_it_is_the_sampling_error_of_the_trace_and_the_distance_of_the_iterates() -> None:
    """Of 3 iterations the last two count; the recorder splits the error of the same run its own way."""
    measured = measurement()
    table = measured.measure(PROBLEM, SEEDS, silent).set_index(["sigma", "seed"])
    for sigma in measured.sigmas:
        solver = measured._solver(sigma)
        trace = run(PROBLEM, solver, 3, SEEDS, points_per_decade=100).table
        late = trace[trace.iteration >= 2].groupby("seed").sampling_error.mean()
        np.testing.assert_allclose(table.loc[sigma].scaled_variance, 50 * late, rtol=1e-9)
        # By hand: the same steps, and log-policies by a softmax of the logits of every row.
        tools = instruments_for(PROBLEM, SEEDS)
        state = solver.init(tools.initial_upper(SEEDS, 1.0), tools.initial_lower(SEEDS))
        squares = []
        for _ in range(3):
            state = solver.step(tools.sampled, state)
            logits = [
                part.reshape(len(SEEDS), 2, 3) for part in (state.lower, state.lower_penalised)
            ]
            policies = [rows.softmax(-1) for rows in logits]
            squares.append((policies[1] / policies[0]).log().square().sum((1, 2)))
        expected = (torch.stack(squares[1:]).mean(0)).sqrt() / sigma
        np.testing.assert_allclose(table.loc[sigma].distance_ratio, expected, rtol=1e-9)


def test_the_average_is_the_conditional_variance() -> None:
    """Section 4.4 at the states of a run, by enumeration: ``E[(1-w)² |dR|²] - |E[(1-w) dR]|²``.

    Of the trajectories' term; the other, W/B, does not depend on the iterates' distance. A one-step
    bandit, whose trajectories are the pairs (s, a) with probability pi(a|s)/S.
    """
    solver = measurement(trajectories=100)._solver(0.05)
    seeds = range(2000)
    tools = instruments_for(PROBLEM, seeds)
    information = ExactInformation(PROBLEM)
    # One state, the same for all replicates; only the draws differ.
    first = instruments_for(PROBLEM, range(1))
    state = solver.init(first.initial_upper(range(1), 1.0), first.initial_lower(range(1)))
    for _ in range(3):
        state = solver.step(first.sampled, state)
    repeated = [
        part.repeat(len(seeds), 1) for part in (state.upper, state.lower, state.lower_penalised)
    ]
    difference = tools.sampled.penalty_difference(*repeated, 100, "shared")
    features = PROBLEM.features.flatten(0, 1)
    log_policies = [
        information.policy_model.table(part).flatten()
        for part in (state.lower, state.lower_penalised)
    ]
    law = log_policies[0].exp() / 2
    weights = 1 - (log_policies[1] - log_policies[0]).exp()
    mean = (law * weights) @ features
    exact = (law * weights.square()) @ features.square().sum(-1) - mean.square().sum()
    found = 100 * (difference - difference.mean(0)).square().sum(-1).mean()
    # 2000 draws of a squared norm whose relative deviation is about 1: standard error 2.3 %, and
    # five of them leave a false alarm of 1e-6.
    assert float(found) == pytest.approx(float(exact), rel=0.12)


@pytest.mark.slow
def test_separate_inner_batches_are_caught_and_shared_ones_are_not() -> None:
    """The plant of the shipped control, at a size that runs in seconds.

    The squared norm of an estimate has a relative deviation of at most sqrt(2), that of a Gaussian in
    one direction: the mean of 100 of them 0.14, a ratio of two 0.2 in the logarithm, and 3 is 5.5 of
    those: false alarm below 1e-6 over 8 seeds and 2 ratios. The separate loops' distance over sigma
    grows like 1/sigma below 0.01, where at least one ratio of ten is certain.
    """
    settings = {"sigmas": (0.1, 0.01, 0.001), "trajectories": 10_000, "iterations": 200}
    tables = [
        measurement(**settings, inner_coupling=coupling)
        .measure(PROBLEM, range(8), silent)
        .assign(problem="bandit", inner_coupling=coupling)
        for coupling in ("shared", "independent")
    ]
    table = pd.concat(tables, ignore_index=True)
    claim, control = map(
        Catalogue.shipped().claim, ("gradient-noise-coupled-runs", "control-separate-inner-batches")
    )
    # Three sigmas are too few for the fitted exponent; the growths are judged.
    growths = replace(claim, rates=GROWTHS)
    assert [rate.status for rate in judge(growths, table).rates] != ["violated"] * 2
    assert judge(growths, table).passed
    assert [rate.status for rate in judge(control, table).rates] == ["violated"] * 2
    assert judge(control, table).passed


def test_a_run_that_diverges_says_so() -> None:
    table = measurement(step_size=1e200, iterations=8).measure(PROBLEM, SEEDS, silent)
    assert set(table["status"]) == {"diverged"}
    assert table[["scaled_variance", "distance_ratio"]].isna().all(axis=None)


def test_a_single_iteration_has_no_second_half() -> None:
    with pytest.raises(InvalidArgumentError, match="iterations: received 1; pass at least 2"):
        measurement(iterations=1)
