"""``Phi*`` is searched once per problem of a process, and never taken from another problem."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from helpers.generators import random_problem

from theory_check.models import LinearReward
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima import optimum
from theory_check.problems import Problem


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """Problems that were searched, each with an optimum of its own number."""
    found: list[Problem] = []

    def search(exact: ExactOracle) -> optimum.Optimum:
        found.append(exact.problem)
        number, nothing = float(len(found)), torch.zeros(1)
        return optimum.Optimum(number, nothing, 0.0, 1.0, True, 1, 1)

    monkeypatch.setattr(optimum, "find_optimum", search)
    monkeypatch.setattr(optimum, "_KNOWN", {})
    return found


def test_objects_of_one_problem_share_a_search(searches: list[Problem]) -> None:
    problem = random_problem(0, features=2)
    again = replace(random_problem(0, features=2), name="the same under another name")
    values = [optimum.optimal_hyperobjective(ExactOracle(each)) for each in (problem, again)]
    assert values == [1.0, 1.0]
    assert searches == [problem]


def test_other_problems_are_searched_anew(searches: list[Problem]) -> None:
    problem = random_problem(0, features=2)
    others = [
        random_problem(1, features=2),
        replace(problem, kl_weight=2 * problem.kl_weight),
        replace(problem, features=2 * problem.features),
        replace(problem, true_reward=problem.true_reward.flip(0)),
    ]
    values = [optimum.optimal_hyperobjective(ExactOracle(each)) for each in (problem, *others)]
    assert values == [1.0, 2.0, 3.0, 4.0, 5.0]
    # Another reward class than the problem's own has another optimum.
    wider = LinearReward(torch.eye(4, dtype=torch.float64).reshape(2, 2, 4))
    assert optimum.optimal_hyperobjective(ExactOracle(problem, reward_model=wider)) == 6.0


class Derived(Problem):
    """A problem that may know more than its arrays."""


def test_a_derived_class_is_never_recognised(searches: list[Problem]) -> None:
    problem = random_problem(0, features=2)
    names = [field.name for field in fields(problem)]
    arguments = {name: getattr(problem, name) for name in names}
    values = [optimum.optimal_hyperobjective(ExactOracle(Derived(**arguments))) for _ in range(2)]
    assert values == [1.0, 2.0]
