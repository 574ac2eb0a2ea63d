"""What counts as numbers, in every place that takes arrays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.generators import random_problem

from theory_check.analysis import fit_power_law
from theory_check.arrays import as_numbers
from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.problems import Problem, tabular

X = np.geomspace(1, 100, 5)
PARAMETER = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))

NUMBERS: dict[str, tuple[Any, list[float]]] = {
    "list": ([1, 2.5], [1, 2.5]),
    "truth values": ([True, False], [1, 0]),
    "fractions": ([Fraction(1, 2), 2], [0.5, 2]),
    "float32": (np.array([1.5], dtype=np.float32), [1.5]),
    "with a gradient": (torch.tensor([1.0, 2.0], requires_grad=True), [1, 2]),
    "parameters in a list": ([PARAMETER[0], PARAMETER[1] * 3], [1, 3]),
    "a mask without an entry": (np.ma.masked_array([1.0, 2.0], mask=[False, False]), [1, 2]),
    "series": (pd.Series([1, 2]), [1, 2]),
    "2**70": ([2**70], [2.0**70]),
}
NONE: dict[str, Any] = {
    "masked": np.ma.masked_array([1.0, 2.0], mask=[False, True]),
    "a list of masked": [np.ma.masked_array([1.0, 2.0], mask=[False, True]), [1.0, 2.0]],
    "text": ["1", "2"],
    "one text": "12",
    "bytes": [b"1"],
    "complex": [1 + 0j, 2],
    "None": [1.0, None],
    "nothing": None,
    "NA": pd.array([1, None], dtype="Int64"),
    "ragged": [[1.0], [1.0, 2.0]],
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "object": [object()],
    "10**400": [10**400],
    "records": np.zeros(2, dtype=[("a", float)]),
    "meta": torch.ones(2, device="meta"),
    "sparse": torch.ones(2, 2).to_sparse(),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_taken_as_they_are(name: str) -> None:
    given, expected = NUMBERS[name]
    found = as_numbers("x", given)
    np.testing.assert_array_equal(found.astype(np.float64), expected)


def test_the_array_is_a_copy() -> None:
    mine = np.ones(3)
    as_numbers("x", mine)[0] = 7
    assert mine.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_number_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^mine: received .*; pass a rectangular"):
        as_numbers("mine", NONE[name])


def _tabular(**changed: Any) -> Problem:
    arrays: dict[str, Any] = {
        "transitions": np.full((2, 2, 2), 0.5),
        "initial": np.full(2, 0.5),
        "true_reward": np.zeros((2, 2)),
        "features": np.zeros((2, 2, 1)),
        "observations": np.zeros((2, 1)),
        "reference_policy": np.full((2, 2), 0.5),
    }
    return tabular(**arrays | changed, horizon=1)


def _masked(values: np.ndarray) -> np.ma.MaskedArray[Any, Any]:
    """Hide one entry behind which there is something else."""
    hidden = np.ma.masked_array(values.copy(), mask=np.zeros_like(values, dtype=bool))
    hidden.data.flat[-1] = 99.0
    hidden.mask.flat[-1] = True
    return hidden


SHAPES = {
    "transitions": (2, 2, 2),
    "initial": (2,),
    "true_reward": (2, 2),
    "features": (2, 2, 1),
    "observations": (2, 1),
    "reference_policy": (2, 2),
}
PLACES: dict[str, Callable[[np.ndarray], object]] = {
    **{
        name: lambda values, name=name: _tabular(**{name: _masked(values)})  # type: ignore[misc]
        for name in SHAPES
    },
    "phi": lambda values: ExactOracle(_tabular()).hypergradient(_masked(values)),
    "x": lambda values: fit_power_law(_masked(values), np.ones((2, values.size))),
    "y": lambda values: fit_power_law(X, _masked(np.ones((2, 5)))),
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_read_under_a_mask(place: str) -> None:
    shape = SHAPES.get(place, (1,) if place == "phi" else (5,))
    values = X if place == "x" else np.full(shape, 0.5)
    with pytest.raises(InvalidArgumentError, match=rf"^{place}: .*masked"):
        PLACES[place](values)


@pytest.mark.slow
def test_tensors_that_ask_for_a_gradient_are_values_like_others() -> None:
    problem = random_problem(3, (2, 2, 2), features=4)
    oracle = ExactOracle(problem)
    plain = torch.ones(4, dtype=torch.float64)
    for name in ("hyperobjective", "hypergradient", "optimal_policy"):
        found = getattr(oracle, name)(PARAMETER)
        assert torch.equal(found, getattr(oracle, name)(plain))
        assert not found.requires_grad
    for name in ("penalised_policy", "penalised_objective", "penalised_gradient"):
        found = getattr(oracle, name)(PARAMETER, 0.1)
        assert torch.equal(found, getattr(oracle, name)(plain, 0.1))
        assert not found.requires_grad
    reward = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    assert not _tabular(true_reward=[reward[0], reward[1]]).true_reward.requires_grad
