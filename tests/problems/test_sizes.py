"""Sizes are refused from the numbers, before anything is allocated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from theory_check.catalogue import installed
from theory_check.errors import (
    LARGEST_TABLE,
    EnumerationBudgetError,
    InvalidArgumentError,
    magnitude,
    require_seeds,
)
from theory_check.oracles.exact import ExactOracle
from theory_check.problems import bandit, chain, garnet, quadratic, riverswim, tabular, zero_chain
from theory_check.recording.recorder import recording_grid

SMALL: dict[str, Any] = {"states": 2, "actions": 2, "horizon": 1}
MLPReward, MLPPolicy = installed().rewards["mlp"], installed().policies["mlp"]

TOO_LARGE: dict[str, tuple[Callable[[], object], str]] = {
    "contexts": (lambda: bandit(contexts=10**9, actions=2), "contexts"),
    "states of a Garnet": (lambda: garnet(**{**SMALL, "states": 3000}), "states"),
    "actions": (lambda: garnet(**{**SMALL, "actions": 10**6}), "actions"),
    "horizon": (lambda: garnet(**{**SMALL, "horizon": 10**8}), "horizon"),
    "features": (lambda: garnet(**SMALL, features=10**9), "features"),
    "observations": (lambda: garnet(**SMALL, observations=10**9), "observations"),
    "length": (lambda: chain(length=10**5), "length"),
    "river": (lambda: riverswim(states=10**5), "states"),
    "lower": (lambda: quadratic(lower=10**5), "lower"),
    "links": (lambda: zero_chain(epsilon=1e-20), "epsilon"),
    "width": (lambda: MLPReward(width=10**9), "width"),
    "depth": (lambda: MLPPolicy(depth=10**9), "depth"),
    "layers": (lambda: MLPPolicy(width=10**4, depth=2), "width"),
    "seeds": (lambda: require_seeds(range(10**9)), "seeds"),
    "points of a grid": (lambda: recording_grid(10**9, 10**9), "points_per_decade"),
    "horizon of given arrays": (
        lambda: tabular(
            transitions=[[[1.0]]], initial=[1.0], true_reward=[[0.0]], horizon=LARGEST_TABLE
        ),
        "horizon",
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_size_is_refused_before_anything_is_allocated(name: str) -> None:
    call, argument = TOO_LARGE[name]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgumentError, match=rf"^{argument}: received .*; pass "):
            call()
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_the_largest_sizes_are_built() -> None:
    """Just below the limit: kernel, observations and policy of 2000 states hold 12 million numbers."""
    made = garnet(states=2000, actions=2, horizon=1, features=1, branching=1)
    assert made.states == 2000


def test_a_message_says_how_many_trajectories_there_are_or_that_nobody_counts_them() -> None:
    """4 with one step, and each further step has 4 ends: 4^(10^4) has more digits than Python writes."""
    with pytest.raises(EnumerationBudgetError, match=r"has more than 10\^30 trajectories"):
        ExactOracle(garnet(**{**SMALL, "horizon": 10**4}), way="pairs")
    with pytest.raises(EnumerationBudgetError, match="has 16384 trajectories"):
        ExactOracle(garnet(**{**SMALL, "horizon": 7}), way="pairs")


def test_the_magnitude_of_an_integer() -> None:
    assert magnitude(10**15 - 1) == "9" * 15
    assert magnitude(10**5000) == "about 10^5000"


def test_a_dense_grid_is_every_iteration() -> None:
    """10 points in a factor of e are nearer than 1 to each other; the rounded grid held the same."""
    assert recording_grid(7, 200) == recording_grid(7, 10**9) == frozenset(range(1, 8))


@pytest.mark.parametrize("scale", [1e308, 1e-308])
def test_a_scale_that_cannot_be_squared_is_refused(scale: float) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^reward_scale: received 1e"):
        garnet(**SMALL, reward_scale=scale)


@pytest.mark.parametrize(
    "phi",
    [
        [True, False, True, False],
        [True, 0.5, 0.0, 1.0],
        np.array([True, False, True, False]),
        [torch.tensor(True), 0.0, 0.0, 0.0],
    ],
    ids=str,
)
def test_truth_values_are_no_parameters(phi: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^phi: received "):
        ExactOracle(bandit(contexts=2, actions=2)).hyperobjective(phi)
