"""The boxes that are searched: scales are fixed, bounds are kept, and nothing else can happen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from theory_check.errors import InvalidArgumentError
from theory_check.problems import garnet
from theory_check.worst_cases.base import ball_points
from theory_check.worst_cases.spaces import SPACES, BanditSpace, GarnetSpace, TabularSpace

NAMES = pytest.mark.parametrize("name", sorted(SPACES))


@NAMES
def test_every_instance_keeps_the_bounds(name: str) -> None:
    space = SPACES[name]()
    generator = np.random.default_rng(3)
    corners = (generator.random((20, space.dimension)) < 0.5).astype(float)
    for cube in [*corners, *generator.random((20, space.dimension))]:
        problem = space.problem(cube)
        assert problem.true_reward.min() >= 0
        assert problem.true_reward.max() <= 1
        assert problem.features.norm(dim=-1).max().item() == pytest.approx(1.0, rel=1e-14)
        assert 0.05 <= problem.kl_weight <= 1.0
        # Odds against the last action between e^-4 and e^4.
        odds = (problem.reference_policy / problem.reference_policy[..., -1:]).log().abs()
        assert odds.max() <= 4 + 1e-12


@NAMES
def test_the_coordinates_are_all_used_and_the_problem_depends_on_each(name: str) -> None:
    space = SPACES[name]()
    cube = np.random.default_rng(0).random(space.dimension)
    fields = ("transitions", "initial", "features", "true_reward", "reference_policy")
    before = space.problem(cube)
    for index in range(space.dimension):
        moved = cube.copy()
        moved[index] = 1 - cube[index]
        after = space.problem(moved)
        different = [
            field
            for field in fields
            if not torch.equal(getattr(before, field), getattr(after, field))
        ]
        assert different or before.kl_weight != after.kl_weight, index


def test_the_bounds_of_the_kl_weight_are_met_and_the_law_is_log_uniform() -> None:
    space = BanditSpace(kl_weight_low=0.02, kl_weight_high=0.7)
    weights = []
    for share in (0.0, 0.5, 1.0):
        cube = np.full(space.dimension, 0.3)
        cube[0] = share
        weights.append(space.problem(cube).kl_weight)
    assert (weights[0], weights[2]) == (0.02, 0.7)
    assert weights[1] == pytest.approx(math.sqrt(0.02 * 0.7))


def test_garnets_have_the_successors_of_the_family() -> None:
    space = GarnetSpace(states=4, actions=3, horizon=3, branching=2, support_seed=5)
    problem = space.problem(np.random.default_rng(1).random(space.dimension))
    drawn = garnet(states=4, actions=3, horizon=3, branching=2, seed=5)
    assert torch.equal(problem.transitions > 0, drawn.transitions > 0)
    assert problem.horizon == 3


def test_bandits_have_one_step_and_tabular_ones_no_zeros() -> None:
    bandit = BanditSpace(states=3).problem(np.full(BanditSpace(states=3).dimension, 0.5))
    assert bandit.horizon == 1
    assert torch.equal(bandit.transitions[:, 0], torch.eye(3, dtype=torch.float64))
    space = TabularSpace()
    problem = space.problem(np.zeros(space.dimension))
    assert (problem.transitions > 0).all()


@pytest.mark.parametrize(
    ("family", "changes", "argument"),
    [
        ("bandit", {"actions": 1}, "actions"),
        ("bandit", {"kl_weight_high": 0.05}, "kl_weight_high"),
        ("garnet", {"branching": 9}, "branching"),
    ],
)
def test_what_is_no_family_is_refused(family: str, changes: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received .*; "):
        SPACES[family](**changes)


@pytest.mark.parametrize("cube", [np.full(17, 1.1), np.full(16, 0.5), np.full(17, np.nan)])
def test_what_is_outside_the_cube_is_refused(cube: np.ndarray) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^cube: .*; pass 17 numbers between 0 and 1"):
        BanditSpace().problem(cube)


def test_points_fill_the_ball_evenly_and_more_do_not_move_the_first() -> None:
    points = ball_points(4000, 3)
    assert torch.equal(ball_points(7, 3), points[:7])
    radius = points.norm(dim=-1)
    assert radius.max() <= 1
    # The cube of a uniform point's radius is uniform. Independent points would err by 0.29/sqrt(4000)
    # = 0.0046 in its mean; these fill the ball more evenly.
    assert (radius**3).mean().item() == pytest.approx(0.5, abs=0.0046)
    assert points.mean(0).abs().max() < 0.01


def test_points_on_a_line_leave_no_gaps() -> None:
    """32 of them, from -1 to 1: evenly spaced they would be 1/16 apart."""
    gaps = ball_points(32, 1)[:, 0].sort().values.diff()
    assert gaps.max() <= 1 / 16
