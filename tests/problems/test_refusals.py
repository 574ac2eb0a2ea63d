"""What is not a problem is refused before any work, naming argument, value and remedy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from theory_check.errors import InvalidArgumentError
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, bandit, garnet, tabular
from theory_check.runs.trace import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

KERNEL = np.full((2, 2, 2), 0.5)
VALID: dict[str, Any] = {
    "transitions": KERNEL,
    "initial": [0.25, 0.75],
    "true_reward": [[0.0, 1.0], [2.0, 3.0]],
    "features": np.arange(12.0).reshape(2, 2, 3),
    "horizon": 2,
    "reference_policy": [[0.3, 0.7], [0.6, 0.4]],
}


def changed(values: Any, index: tuple[int, ...], value: float) -> np.ndarray:
    copy = np.array(values, dtype=float)
    copy[index] = value
    return copy


NAN, INF = float("nan"), float("inf")
REFUSED = [
    ("transitions", changed(KERNEL, (1, 0, 1), 0.6), r"1\.1.*\(1, 0\).*sum to 1"),
    (
        "transitions",
        changed(changed(KERNEL, (0, 0, 0), -0.5), (0, 0, 1), 1.5),
        r"-0\.5.*\(0, 0, 0\)",
    ),
    ("transitions", changed(KERNEL, (0, 1, 1), NAN), r"nan.*\(0, 1, 1\)"),
    ("transitions", KERNEL[0], r"shape \(2, 2\).*states, actions, states"),
    ("transitions", KERNEL[:, :, :1], r"shape \(2, 2, 1\)"),
    ("transitions", [[1.0], [1.0, 2.0]], "rectangular"),
    ("initial", [0.5, 0.6], "1.1"),
    ("initial", [-0.5, 1.5], r"-0\.5"),
    ("initial", [1.0], r"shape \(1,\).*\(2,\)"),
    ("initial", [NAN, 1.0], "nan"),
    ("true_reward", [[0.0, 1.0]], r"shape \(1, 2\).*\(2, 2\)"),
    ("true_reward", [[0.0, INF], [2.0, 3.0]], r"inf.*\(0, 1\)"),
    ("true_reward", [[0.0, NAN], [2.0, 3.0]], r"nan.*\(0, 1\)"),
    ("features", changed(VALID["features"], (1, 1, 2), NAN), r"nan.*\(1, 1, 2\)"),
    ("features", changed(VALID["features"], (1, 1, 2), -INF), "-inf"),
    ("features", np.ones((2, 3, 1)), r"shape \(2, 3, 1\).*\(2, 2, parameters\)"),
    ("features", np.ones((2, 2)), r"shape \(2, 2\)"),
    ("features", np.ones((2, 2, 0)), r"shape \(2, 2, 0\)"),
    ("reference_policy", [[0.0, 1.0], [0.6, 0.4]], "positive probability"),
    ("reference_policy", [[0.3, 0.6], [0.6, 0.4]], "0.9"),
    ("reference_policy", [[0.3, 0.3, 0.4], [0.6, 0.2, 0.2]], r"shape \(2, 3\).*\(2, 2, 2\)"),
    ("reference_policy", np.full((3, 2, 2), 0.5), r"shape \(3, 2, 2\).*\(2, 2, 2\)"),
    ("kl_weight", 0.0, "0.0.*greater than 0"),
    ("kl_weight", -1.0, "-1.0"),
    ("kl_weight", NAN, "nan"),
    ("kl_weight", INF, "inf"),
    ("horizon", 0, "0.*at least 1"),
    ("horizon", -2, "-2"),
    ("horizon", True, "True"),
    ("horizon", None, "None.*episodic"),
    ("discount", 0.0, r"\(0, 1\]"),
    ("discount", -0.5, r"-0\.5"),
    ("discount", 1.01, r"1\.01"),
    ("discount", NAN, "nan"),
    ("segment_length", 2, "2.*leave it at 1"),
]


SOLVER = {
    "sigma": 0.1,
    "inner_steps": 1,
    "inner_step_size": 0.1,
    "step_size": 0.1,
    "trajectories": 1,
    "pairs": 1,
}


def problem() -> Problem:
    return bandit(contexts=1, actions=2, objective="excess_risk")


# Calls that must be refused, the argument to be named, and what the message has to contain.
CALLS: list[tuple[Callable[[], object], str, str]] = [
    *((partial(tabular, **{**VALID, name: value}), name, text) for name, value, text in REFUSED),
    (lambda: bandit(contexts=1, actions=2, objective="excess-risk"), "objective", "'excess_risk'"),
    (lambda: garnet(states=2, actions=2, horizon=1.5), "horizon", r"1\.5"),
    (lambda: garnet(states=2, actions=2, horizon=1, branching=1.5), "branching", r"1\.5"),
    (lambda: PenaltyBilevel(**SOLVER, coupling="sharde"), "coupling", "did you mean 'shared'"),
    (lambda: PenaltyBilevel(**{**SOLVER, "trajectories": 2.5}), "trajectories", r"2\.5"),
    (lambda: SampledOracle(problem(), [0], sample_budget=1.5), "sample_budget", r"1\.5"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1.5, [0]), "iterations", r"1\.5"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 0, [0]), "iterations", "0"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, []), "seeds", r"\[\]"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, [3, 3]), "seeds", r"\[3, 3\]"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, [-1]), "seeds", r"\[-1\]"),
    (lambda: tabular(**{**VALID, "true_reward": "high"}), "true_reward", "str"),
]


def outcomes() -> list[tuple[str, str, str] | None]:
    """Return (argument, message, remedy) of every call, None where it was not refused."""
    found: list[tuple[str, str, str] | None] = []
    for call, _, _ in CALLS:
        try:
            call()
        except InvalidArgumentError as error:
            found.append((error.argument, str(error), error.remedy))
        else:
            found.append(None)
    return found


@pytest.fixture(scope="module")
def refused() -> list[tuple[str, str, str] | None]:
    """What a user sees: the type checker of these tests would refuse shapes and types earlier."""
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[1]), str(here.parents[2])]
    script = (
        f"import sys, json; sys.path[:0] = {paths!r}; import {here.stem} as cases; "
        "json.dump(cases.outcomes(), sys.stdout)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found: list[tuple[str, str, str] | None] = json.loads(finished.stdout)
    return found


@pytest.mark.parametrize("case", range(len(CALLS)))
def test_refusals(case: int, refused: list[tuple[str, str, str] | None]) -> None:
    _, argument, text = CALLS[case]
    outcome = refused[case]
    assert outcome is not None, f"{argument}: {text} was not refused"
    named, message, remedy = outcome
    assert named == argument
    assert re.search(f"(?s)^{argument}: received .*{text}", message), message
    assert remedy


def test_the_valid_arguments_are_accepted() -> None:
    tabular(**VALID)
    PenaltyBilevel(**SOLVER)


@pytest.mark.parametrize(
    ("family", "arguments", "argument"),
    [
        (garnet, {"states": 3, "actions": 2, "horizon": 2, "branching": 0}, "branching"),
        (garnet, {"states": 3, "actions": 2, "horizon": 2, "branching": 4}, "branching"),
        (garnet, {"states": 0, "actions": 2, "horizon": 2}, "states"),
        (garnet, {"states": 3, "actions": -1, "horizon": 2}, "actions"),
        (garnet, {"states": 3, "actions": 2, "horizon": 0}, "horizon"),
        (garnet, {"states": 3, "actions": 2, "horizon": 2, "features": 0}, "features"),
        (garnet, {"states": 3, "actions": 2, "horizon": 2, "reward_scale": NAN}, "reward_scale"),
        (bandit, {"contexts": 0, "actions": 2}, "contexts"),
        (bandit, {"contexts": 2, "actions": 0}, "actions"),
        (bandit, {"contexts": 2, "actions": 2, "reward_scale": 0.0}, "reward_scale"),
        (bandit, {"contexts": 2, "actions": 2, "kl_weight": -1.0}, "kl_weight"),
    ],
)
def test_family_arguments(family: Any, arguments: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received ") as caught:
        family(**arguments)
    assert str(arguments[argument]) in str(caught.value)
