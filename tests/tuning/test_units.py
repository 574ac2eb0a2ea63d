"""Units of a method's constants, which the cells of one problem share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from theory_check.models import MLPReward
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem, Thurstone, bandit, instance_for
from theory_check.problems.hard_instance import HardInstance
from theory_check.problems.plateau import plateau
from theory_check.problems.valley import valley
from theory_check.tuning import units
from theory_check.tuning.units import units_of


def test_equal_problems_are_measured_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells build their own objects; what the units depend on makes another measurement."""
    measured = []

    def counted(problem: object, seeds: range) -> object:
        measured.append(problem)
        return instruments_for(problem, seeds)

    monkeypatch.setattr("theory_check.tuning.units.instruments_for", counted)
    monkeypatch.setattr(units, "_KNOWN", {})

    def problem(seed: int = 0) -> Problem:
        return bandit(contexts=2, actions=2, features=2, seed=seed)

    first = units_of(problem(), range(4), 1.0)
    assert units_of(problem(), range(4), 1.0) == first
    assert len(measured) == 1
    for other in (
        units_of(problem(1), range(4), 1.0),
        units_of(problem().with_preferences(Thurstone()), range(4), 1.0),
        units_of(problem().with_classes(reward=MLPReward(width=2)), range(4), 1.0),
        units_of(problem(), range(1, 5), 1.0),
        units_of(problem(), range(4), 0.5),
        units_of(problem(), range(4), 1.0, 1.0),
    ):
        assert other != first
    assert len(measured) == 7


@pytest.mark.parametrize("epsilon", [0.1, 0.001])
@pytest.mark.parametrize("build", [plateau, valley])
def test_sigma_has_the_unit_whose_bias_is_a_gradient_of_the_unit(
    build: Callable[..., HardInstance], epsilon: float
) -> None:
    """The bias is sigma a²/4 to first order there (section 6.4): a gradient of norm 1 at 4/a²."""
    problem: Any = instance_for(build(), epsilon)
    scales, unit = units_of(problem, range(8), 1.0, 1.0)
    assert unit == 1.0
    assert scales.sigma == pytest.approx(4 / problem.slope**2, rel=0.01)
    assert scales.kl_weight == 1.0


def test_sigma_has_the_kl_weight_as_its_unit_where_there_is_one() -> None:
    scales, _ = units_of(bandit(contexts=2, actions=2, kl_weight=0.3), range(4), 1.0)
    assert (scales.sigma, scales.kl_weight) == (0.3, 0.3)
