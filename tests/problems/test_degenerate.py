"""Problems in which there is nothing to choose or to learn: refused by name where steps follow."""

from __future__ import annotations

import numpy as np
import pytest

import theory_check as tc
from theory_check.errors import InvalidArgumentError
from theory_check.problems import Problem, bandit, tabular
from theory_check.tuning.units import units_of

ONE_ACTION = bandit(contexts=3, actions=1, features=2)
ONE_TRAJECTORY = tabular(
    transitions=[[[0.0, 1.0]], [[0.0, 1.0]]],
    initial=[1.0, 0.0],
    true_reward=[[1.0], [2.0]],
    horizon=2,
)
NOTHING_TO_LEARN = tabular(
    transitions=np.full((2, 2, 2), 0.5),
    initial=[0.5, 0.5],
    true_reward=[[1.0, 0.0], [0.0, 2.0]],
    features=np.zeros((2, 2, 1)),
    horizon=2,
)
CASES = pytest.mark.parametrize(
    "problem", [ONE_ACTION, ONE_TRAJECTORY, NOTHING_TO_LEARN], ids=["action", "path", "features"]
)


@CASES
def test_units_of_constants_are_refused(problem: Problem) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^problem: .* level does not depend on its"):
        units_of(problem, range(4), 0.5)


@pytest.mark.slow
@CASES
def test_advice_is_refused(problem: Problem) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^(problem: .* level does not depend|epsilon: )"
    ):
        tc.advise(problem, 1e-9)


def test_two_actions_are_enough() -> None:
    scales, accuracy = units_of(bandit(contexts=3, actions=2, features=2), range(4), 0.5)
    assert min(scales.outer_step, scales.inner_step, scales.batch, accuracy) > 0
