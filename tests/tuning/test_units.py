"""Units of a method's constants, which the cells of one problem share."""

from __future__ import annotations

import pytest

from theory_check.models import MLPReward
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import Problem, Thurstone, bandit
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
