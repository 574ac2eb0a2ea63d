"""Names of states and actions: one for each, in errors, and no part of the numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from theory_check.errors import InvalidArgumentError
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import Problem, gridworld, tabular
from theory_check.problems.stored import content_digest

STATES, ACTIONS = ("home", "away"), ["stay", "go", "wait"]


def named(**changes: Any) -> Problem:
    given: dict[str, Any] = {
        "transitions": np.full((2, 3, 2), 0.5),
        "initial": [1.0, 0.0],
        "true_reward": [[0.0, 1.0, 2.0], [0.5, 0.0, 1.0]],
        "horizon": 2,
        "state_names": STATES,
        "action_names": ACTIONS,
    }
    return tabular(**{**given, **changes})


def test_names_are_kept_and_change_no_number() -> None:
    problem, plain = named(), named(state_names=None, action_names=None)
    assert problem.state_names == ("home", "away")
    assert problem.action_names == ("stay", "go", "wait")
    assert plain.state_names is plain.action_names is None
    assert content_digest(problem) == content_digest(plain)
    phi = torch.zeros(problem.parameters, dtype=torch.float64)
    one, two = ExactOracle(problem), ExactOracle(plain)
    assert torch.equal(one.hypergradient(phi), two.hypergradient(phi))
    assert dataclasses.replace(problem, kl_weight=2.0).state_names == ("home", "away")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_names": ["home"]}, "state_names: received 1 names; pass 2, one for each"),
        ({"state_names": ("a", "a")}, "state_names: received 'a' more than once; give each"),
        ({"state_names": "ab"}, "state_names: received 'ab'; pass a tuple of texts, or None"),
        ({"action_names": (1, 2, 3)}, r"action_names: received \(1, 2, 3\); pass a tuple of texts"),
        (
            {"true_reward": [[0.0, np.nan, 2.0], [0.5, 0.0, 1.0]]},
            r"true_reward: received nan at index \(0, 1\): 'home', 'go'; pass finite",
        ),
        (
            {"initial": [1.5, -0.5]},
            r"initial: received -0.5 at index \(1,\): 'away'; pass probabilities",
        ),
        (
            {"reference_policy": [[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]]},
            r"reference_policy: received a smallest probability of 0 \(index .*: 'home', 'wait'\); give",
        ),
        (
            {"reference_policy": [[0.5, 0.2, 0.3], [0.2, 0.2, 0.5]]},
            r"reference_policy: received a row that sums to 0.9 \(index \(0, 1\): 'away'\)",
        ),
        (
            {"action_mask": [[1, 1, 1], [0, 0, 0]]},
            "action_mask: received no action in state 1, 'away'; leave every state",
        ),
    ],
)
def test_errors_say_which_state_and_action(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{message}"):
        named(**changes)


def test_a_gridworld_names_its_cells_and_moves() -> None:
    world = gridworld(slip=0.0)
    assert world.action_names == ("up", "right", "down", "left")
    assert world.state_names is not None
    # The 4 x 3 world has a wall in the second place of its second row.
    assert world.state_names[4:6] == ("row 1, column 0", "row 1, column 2")
    up = world.action_names.index("up")
    below, above = (world.state_names.index(f"row {row}, column 0") for row in (2, 1))
    assert world.transitions[below, up, above] == 1
