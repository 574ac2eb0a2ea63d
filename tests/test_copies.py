"""Whatever a user holds survives pickle, deepcopy and joblib, fresh and after it was used."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from helpers.generators import random_problem

import theory_check as tc
from theory_check.analysis import fit_power_law
from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.solutions.minimise import minimise_penalised
from theory_check.problems import Problem, plateau, quadratic, quartic, valley
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

PROBLEMS = {
    "episodic": random_problem(1, (3, 2, 2), features=3),
    "discounted": random_problem(2, (3, 2, 2), features=3, discount=0.8),
}
PHI = torch.ones(1, 3, dtype=torch.float64)
ZERO = torch.zeros(1, 3, 2, dtype=torch.float64)
X = np.geomspace(1, 100, 8)


def _level(problem: Problem) -> Any:
    oracle = ExactOracle(problem)
    return oracle.penalised_level(oracle.reward_model.table(PHI), 0.1)


Use = Callable[[Any], Any]
OBJECTS: dict[str, tuple[Callable[[], Any], Use]] = {
    **{
        f"{kind} {what}": (lambda make=make, problem=problem: make(problem), use)  # type: ignore[misc]
        for kind, problem in PROBLEMS.items()
        for what, make, use in (
            ("problem", lambda problem: problem, lambda it: ExactOracle(it).hyperobjective(PHI)),
            ("oracle", ExactOracle, lambda it: it.hypergradient(PHI)),
            (
                "control",
                lambda problem: ExactOracle(problem).control,
                lambda it: it.optimal_log_policy(ZERO),
            ),
            (
                "comparisons",
                lambda problem: ExactOracle(problem).comparisons,
                lambda it, problem=problem: it.probabilities(
                    ExactOracle(problem).control.optimal_log_policy(ZERO)
                ),
            ),
            ("penalised level", _level, lambda it: minimise_penalised(it).log_policy),
            ("function", lambda problem: ExactOracle(problem).as_function(), lambda it: it(PHI)),
        )
    },
    **{
        f"{make.__name__}": (
            make,
            lambda it: it.hypergradient(torch.ones(1, it.upper_parameters, dtype=torch.float64)),
        )
        for make in (plateau, valley, quadratic, quartic)
    },
    **{
        f"method {name}": (lambda it=it: it, lambda it: len(it.grid))
        for name, it in installed().methods.items()
    },  # type: ignore[misc]
    "fit": (lambda: fit_power_law(X, np.ones((3, 1)) / X), lambda it: it.predict(X)),
}
WAYS: dict[str, Callable[[Any, Path], Any]] = {
    "pickle": lambda it, folder: pickle.loads(pickle.dumps(it)),
    "deepcopy": lambda it, folder: copy.deepcopy(it),
    "joblib": lambda it, folder: joblib.load(joblib.dump(it, folder / "object")[0]),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OBJECTS)
def test_a_copy_does_what_the_original_does(name: str, way: str, tmp_path: Path) -> None:
    make, use = OBJECTS[name]
    original = make()
    fresh = WAYS[way](original, tmp_path)
    expected = use(original)
    used = WAYS[way](original, tmp_path)
    for one in (fresh, used, used):
        found = use(one)
        if isinstance(found, torch.Tensor | np.ndarray):
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
        else:
            assert found == expected


@pytest.mark.slow
def test_a_trace_and_a_verdict_are_copied_whole() -> None:
    solver = PenaltyBilevel(
        sigma=0.1, inner_steps=1, inner_step_size=0.1, step_size=0.1, trajectories=10, pairs=10
    )
    trace = tc.run(PROBLEMS["discounted"], solver, 3, [0, 1])
    again = pickle.loads(pickle.dumps(trace))
    assert again.table.equals(trace.table)
    assert torch.equal(again.final_upper, trace.final_upper)


def test_names_of_classes_are_accepted_and_others_refused() -> None:
    problem = PROBLEMS["episodic"].with_classes(reward="mlp", policy="log-linear")
    assert type(problem.reward_class).__name__ == "MLPReward"
    assert type(problem.policy_class).__name__ == "LogLinear"
    with pytest.raises(InvalidArgumentError, match=r"^reward: received 'mlq'; did you mean"):
        PROBLEMS["episodic"].with_classes(reward="mlq")
