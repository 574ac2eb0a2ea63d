"""The optimiser on functions whose maximum is known; it is deterministic, so nothing fails by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory_check.errors import InvalidArgumentError
from theory_check.worst_cases.search import draw, maximise

PLANTED = np.array([0.2, 0.9, 0.5, 0.35, 0.7, 0.05])


def bowl(cube: np.ndarray) -> float:
    """Largest, 0, at ``PLANTED``."""
    return -float(((cube - PLANTED) ** 2).sum())


def corner(cube: np.ndarray) -> float:
    """Largest, 20, where every coordinate is at its bound."""
    return float(cube.sum())


def test_a_planted_maximum_is_found() -> None:
    found = maximise(bowl, 6, budget=2000, restarts=2, seed=3)
    best = found.cubes[found.values.argmax()]
    assert np.abs(best - PLANTED).max() < 1e-3
    # In 2000 uniform draws some are within 0.1 of it in every coordinate with probability 0.12.
    assert draw(bowl, 6, number=2000, seed=3).values.max() < -1e-3


@pytest.mark.slow
def test_a_maximum_on_the_boundary_is_found() -> None:
    found = maximise(corner, 20, budget=3000, restarts=1, seed=0)
    assert found.values.max() > 19.9
    # The sum of 20 uniforms has standard deviation 1.3: 16 is 4.6 of them above its mean, one draw
    # in 5e5, so that 3000 draws exceed it with probability 0.006; the seed is fixed.
    assert draw(corner, 20, number=3000, seed=0).values.max() < 16
    assert found.cubes.min() >= 0
    assert found.cubes.max() <= 1


@pytest.mark.parametrize(("budget", "restarts"), [(1, 1), (7, 3), (101, 4), (500, 2)])
def test_the_budget_is_used_exactly_and_divided_evenly(budget: int, restarts: int) -> None:
    calls = 0

    def counted(cube: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return bowl(cube)

    found = maximise(counted, 6, budget=budget, restarts=restarts, seed=0)
    assert calls == budget == len(found.values) == len(found.cubes)
    shares = np.bincount(found.run, minlength=restarts)
    assert shares.max() - shares.min() <= 1
    assert len(found.best_of_runs()) == restarts


def test_a_restart_that_converges_early_uses_its_budget_all_the_same() -> None:
    """A constant function makes CMA-ES stop after some generations."""
    found = maximise(lambda cube: 1.0, 3, budget=2000, restarts=2, seed=0)
    assert len(found.values) == 2000
    assert np.bincount(found.run).tolist() == [1000, 1000]


def test_the_seed_decides_everything_and_no_global_generator_is_touched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (
        maximise(bowl, 6, budget=60, restarts=2, seed=seed) for seed in (5, 5, 6)
    )
    np.random.default_rng().random()
    assert (first.cubes == again.cubes).all()
    assert not (first.cubes == other.cubes).any()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    one, two = (first.cubes[first.run == run] for run in (0, 1))
    assert not (one[:6] == two[:6]).any()


@pytest.mark.slow
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_worth_nothing_and_counted(bad: float) -> None:
    """A half of the cube without values, in which the maximum of a bowl would lie."""
    unsound = 0

    def half(cube: np.ndarray) -> float:
        nonlocal unsound
        if cube[1] > 0.5:
            unsound += 1
            return bad
        return bowl(cube)

    found = maximise(half, 6, budget=1500, restarts=2, seed=1)
    assert found.failed == unsound > 0
    best = found.cubes[np.nanargmax(found.values)]
    # The best point that has a value: the planted one with its second coordinate at the edge.
    expected = np.where(np.arange(6) == 1, 0.5, PLANTED)
    assert np.abs(best - expected).max() < 0.02


def test_nothing_but_failures_is_reported_as_such() -> None:
    found = maximise(lambda cube: math.nan, 3, budget=50, restarts=2, seed=0)
    assert found.failed == 50
    assert np.isnan(found.best_of_runs()).all()


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": 3, "restarts": 4}, "budget"),
        ({"budget": 10.0}, "budget"),
        ({"restarts": 0}, "restarts"),
        ({"seed": -1}, "seed"),
        ({"dimension": 1}, "dimension"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes: dict[str, object], argument: str) -> None:
    def never(cube: np.ndarray) -> float:
        raise AssertionError("evaluated before it was refused")

    arguments = {"dimension": 3, "budget": 10, "restarts": 2, "seed": 0, **changes}
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received .*; pass"):
        maximise(never, **arguments)  # type: ignore[arg-type]
