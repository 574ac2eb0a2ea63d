"""Kernels and rewards as people have them: orders of axes, rewards of transitions, sparse ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from theory_check.errors import InvalidArgumentError
from theory_check.problems import Problem, tabular
from theory_check.testing.contract import differing, tensors

GENERATOR = np.random.default_rng(5)
STATES, ACTIONS = 4, 3
KERNEL = GENERATOR.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)) * (
    GENERATOR.random((STATES, ACTIONS, STATES)) < 0.7
)
KERNEL[..., 0] += 0.1
KERNEL /= KERNEL.sum(-1, keepdims=True)
REWARD = GENERATOR.standard_normal((STATES, ACTIONS))
PLAIN: dict[str, Any] = {
    "transitions": KERNEL,
    "initial": np.full(STATES, 1 / STATES),
    "true_reward": REWARD,
    "horizon": 2,
}


def built(**changes: Any) -> Problem:
    return tabular(**{**PLAIN, **changes})


def assert_same(one: Problem, two: Problem) -> None:
    assert differing(tensors(one), tensors(two), 0.0) == ""


def rows(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(-1, kernel.shape[-1])


ACTION_FIRST = np.ascontiguousarray(KERNEL.transpose(1, 0, 2))
FORMS: dict[str, dict[str, Any]] = {
    "action-first": {"transitions": ACTION_FIRST, "layout": "action-first"},
    "nested lists, action-first": {
        "transitions": ACTION_FIRST.tolist(),
        "layout": "action-first",
    },
    "a sparse matrix for every action": {
        "transitions": [sparse.csr_array(each) for each in ACTION_FIRST]
    },
    "sparse and dense ones": {
        "transitions": (ACTION_FIRST[0], sparse.coo_matrix(ACTION_FIRST[1]), ACTION_FIRST[2])
    },
    "one sparse matrix": {"transitions": sparse.csc_matrix(rows(KERNEL))},
    "one sparse matrix, action-first": {
        "transitions": sparse.lil_array(rows(ACTION_FIRST)),
        "layout": "action-first",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_kernel_is_the_same_in_every_form(form: str) -> None:
    assert_same(built(**FORMS[form]), built())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transitions": ACTION_FIRST},
            r"transitions: received shape \(3, 4, 4\); pass an array of shape \(states, actions, "
            r"states\); or layout='action-first', which this shape fits",
        ),
        (
            {"layout": "action-first"},
            r"transitions: received shape \(4, 3, 4\); pass an array of shape \(actions, states, "
            r"states\); or layout='state-first', which this shape fits",
        ),
        (
            {"transitions": np.ones((2, 3, 4))},
            r"transitions: received shape \(2, 3, 4\); pass an array of shape .*states\)$",
        ),
        (
            {"transitions": sparse.csr_array((7, 4))},
            r"transitions: received a sparse matrix of shape \(7, 4\); pass shape \(states \* actions",
        ),
        (
            {"transitions": [sparse.eye_array(4), sparse.eye_array(3)]},
            r"transitions\[1\]: received shape \(3, 3\); pass a \(states, states\) matrix",
        ),
        (
            {"transitions": [sparse.csr_array((0, 0))]},
            r"transitions\[0\]: received shape \(0, 0\); pass a \(states, states\) matrix",
        ),
        (
            {"transitions": [sparse.eye_array(4), 1.0]},
            r"transitions\[1\]: received no matrix; pass a \(states, states\) matrix",
        ),
        (
            {"transitions": sparse.csr_array(rows(KERNEL) * 1j)},
            r"transitions: received ndarray \(of type complex128\)",
        ),
        # 8 terabytes as a dense kernel.
        ({"transitions": sparse.eye_array(10**6)}, "transitions: received 1000000"),
        ({"transitions": [sparse.eye_array(10**6)] * 2}, "transitions: received 1000000"),
    ],
)
def test_a_kernel_of_another_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        built(**changes)


@pytest.mark.slow
def test_a_sparse_kernel_may_be_larger_than_a_dense_one() -> None:
    """With 16 000 pairs of state and action: 256 million indicators of them, or three features."""
    states = 4000
    stay = sparse.eye_array(states, format="csr")
    given = {
        **PLAIN,
        "initial": np.full(states, 1 / states),
        "true_reward": np.zeros((states, 4)),
        "observations": np.zeros((states, 1)),
    }
    with pytest.raises(
        InvalidArgumentError, match=r"^transitions: received 4000, with which tables"
    ):
        tabular(**{**given, "transitions": [stay] * 4})
    problem = tabular(**{**given, "transitions": [stay] * 4, "features": np.ones((states, 4, 3))})
    assert problem.transitions.shape == (states, 4, states)
    assert problem.dynamics.possible == 4 * states


def test_rewards_of_transitions_are_taken_in_expectation() -> None:
    earned = GENERATOR.standard_normal((STATES, ACTIONS, STATES))
    expected = np.zeros((STATES, ACTIONS))
    for state, action, successor in np.ndindex(earned.shape):
        expected[state, action] += (
            KERNEL[state, action, successor] * earned[state, action, successor]
        )
    # What never happens may be anything.
    given = np.where(KERNEL > 0, earned, np.inf)
    for changes in (
        {"true_reward": given},
        {
            "true_reward": given.transpose(1, 0, 2),
            "transitions": ACTION_FIRST,
            "layout": "action-first",
        },
    ):
        found = built(**changes).true_reward
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"true_reward": np.ones((3, 4, 4))},
            r"true_reward: received shape \(3, 4, 4\); pass shape \(4, 3\), or \(4, 3, 4\) for rewards",
        ),
        (
            {
                "true_reward": np.ones((4, 3, 4)),
                "transitions": ACTION_FIRST,
                "layout": "action-first",
            },
            r"true_reward: received shape \(4, 3, 4\); pass shape \(4, 3\), or \(3, 4, 4\) for rewards",
        ),
        (
            {"true_reward": np.where(KERNEL > 0, np.nan, 0.0)},
            r"true_reward: received nan at index \(0, 0\)",
        ),
    ],
)
def test_other_rewards_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        built(**changes)


@pytest.mark.parametrize("argument", ["transitions", "initial", "reference_policy"])
def test_rounding_below_zero_is_taken_for_zero(argument: str) -> None:
    shapes = {"transitions": (4, 3, 4), "initial": (4,), "reference_policy": (4, 3)}
    law = np.full(shapes[argument], 1 / shapes[argument][-1])
    law[..., -1] = -1e-17
    law[..., 0] += 1 / shapes[argument][-1]
    mask = {"action_mask": [[1, 1, 0]] * 4} if argument == "reference_policy" else {}
    problem = built(**{argument: law}, **mask)
    found = getattr(problem, argument)
    assert found.min() == 0
    assert (found.sum(-1) - 1).abs().max() < 1e-15
    law[..., -1] = -1e-11
    with pytest.raises(InvalidArgumentError, match=rf"^{argument}: received -1e-11 at index"):
        built(**{argument: law}, **mask)


def test_laws_without_rounding_are_as_before() -> None:
    law = GENERATOR.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
    expected = torch.from_numpy(law) / torch.from_numpy(law).sum(-1, keepdim=True)
    assert torch.equal(built(transitions=law).transitions, expected)
