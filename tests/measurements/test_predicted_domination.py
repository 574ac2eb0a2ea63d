"""Predicted constants along runs: rows, verdicts, and what the transferred constant is."""

from __future__ import annotations

import numpy as np
import pytest

from theory_check.analysis import judge
from theory_check.catalogue import Catalogue
from theory_check.measurements.predicted_domination import PredictedDomination
from theory_check.measurements.weak_gradient_domination import WeakGradientDomination
from theory_check.problems import bandit, garnet
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

CLAIMS = Catalogue.shipped().claims
SOLVER = PenaltyBilevel(
    sigma=0.05,
    inner_steps=5,
    inner_step_size=0.2,
    step_size=0.2,
    trajectories=1000,
    pairs=1000,
    coupling="shared",
)


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def measurement(**changes: float) -> PredictedDomination:
    settings = {"iterations": 8, "hard_steps": 300, **changes}
    return PredictedDomination(solver=SOLVER, **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_rows_are_those_of_the_measured_constant_with_predicted_ones_beside() -> None:
    problem = garnet(states=3, actions=2, horizon=2, features=4, objective="excess_risk")
    table = measurement().measure(problem, [4, 9, 11, 12], ignore)
    assert set(table.objective) == {"with KL", "without KL"}
    run = table.loc[table.objective == "with KL"]
    other = WeakGradientDomination(solver=SOLVER, iterations=8).measure(
        problem, [4, 9, 11, 12], ignore
    )
    other = other.loc[other.level == "lower"]
    keys = ["seed", "iteration", "inner_iteration"]
    joined = run.merge(other, on=keys, suffixes=("", "_other"))
    assert len(joined) == len(run) == len(other)
    # The policy gradient of the other one cancels near the optimum, to about 1e-12 of its size.
    np.testing.assert_allclose(joined.gap, joined.gap_other, rtol=1e-9)
    np.testing.assert_allclose(joined.gradient, joined.gradient_other, rtol=1e-6)
    np.testing.assert_allclose(joined.transferred, joined.bound, rtol=1e-6)
    assert (run.predicted <= run.predicted_by_source * (1 + 1e-12)).all()
    assert judge(CLAIMS["predicted-domination"], table.assign(problem="p")).status == "holds"


@pytest.mark.slow
def test_wrong_constants_are_seen_at_two_actions() -> None:
    single = bandit(contexts=1, actions=2, features=2)
    table = measurement(initial_scale=0.02).measure(single, range(4), ignore).assign(problem="p")
    assert judge(CLAIMS["predicted-domination"], table).status == "holds"
    caught = judge(CLAIMS["control-predicted-domination"], table)
    assert [rate.status for rate in caught.rates] == ["violated", "violated"]
