"""Neural classes in whole runs: a replicate's numbers do not depend on its company."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import pytest

import theory_check as tc
from theory_check.bilevel import Coupling
from theory_check.models import LogLinear, MLPPolicy, MLPReward, PolicyClass
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

SEEDS = (0, 1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", get_args(Coupling))
@pytest.mark.parametrize("policy", [MLPPolicy(width=5), LogLinear()], ids=str)
def test_a_neural_replicate_alone_is_the_same_in_a_batch(
    coupling: Coupling, policy: PolicyClass
) -> None:
    problem = tc.problems.bandit(contexts=4, actions=3, features=4).with_classes(
        reward=MLPReward(width=5), policy=policy
    )
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=3,
        inner_step_size=0.3,
        step_size=0.1,
        trajectories=500,
        pairs=500,
        coupling=coupling,
    )
    batch = tc.run(problem, solver, 12, SEEDS).table
    distinct = batch[batch.iteration == 12].stationarity
    assert distinct.nunique() == len(SEEDS)
    for seed in (0, 3):
        expected = batch[batch.seed == seed].reset_index(drop=True)
        alone = tc.run(problem, solver, 12, [seed]).table
        pd.testing.assert_frame_equal(alone, expected, check_exact=False, rtol=1e-8, atol=1e-14)
