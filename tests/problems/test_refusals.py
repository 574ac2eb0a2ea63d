"""What is not a problem is refused before any work, naming argument, value and remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fresh import printed_by_text

from theory_check.errors import (
    InvalidArgumentError,
    UndeclaredTruthError,
    require_positive,
    require_positive_integer,
)
from theory_check.measurements.solver_run import SolverRun
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.optimum import find_optimum
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import (
    Problem,
    bandit,
    chain,
    garnet,
    gridworld,
    quadratic,
    riverswim,
    tabular,
)
from theory_check.recording.run import run
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
    ("discount", 0.0, r"\(0, 1\]"),
    ("discount", -0.5, r"-0\.5"),
    ("discount", 1.01, r"1\.01"),
    ("discount", NAN, "nan"),
    ("segment_length", 2, "2.*leave it at 1"),
    ("segment_length", 0, "0.*at least 1"),
    ("segment_length", 1.5, r"1\.5"),
    ("observations", [[0.0], [1.0], [2.0]], r"shape \(3, 1\).*\(2, numbers\)"),
    ("observations", [0.0, 1.0], r"shape \(2,\)"),
    ("observations", np.ones((2, 0)), r"shape \(2, 0\)"),
    ("observations", [[0.0], [NAN]], r"nan.*\(1, 0\)"),
    ("misspecified_for", "feature", "did you mean 'features'"),
    ("misspecification_seed", -1, "-1"),
    ("misspecification", "a", "'a'"),
]
DISCOUNTED = {**VALID, "horizon": None, "discount": 0.9}
REFUSED_WITHOUT_HORIZON = [
    ("discount", 1.0, "below 1, or a horizon"),
    ("segment_length", 0, "0.*at least 1"),
    ("segment_length", -1, "-1"),
    ("reference_policy", np.full((2, 2, 2), 0.5), r"shape \(2, 2, 2\).*\(1, 2, 2\)"),
    ("observations", np.ones((3, 2)), r"shape \(3, 2\)"),
]


SOLVER = {
    "sigma": 0.1,
    "inner_steps": 1,
    "inner_step_size": 0.1,
    "step_size": 0.1,
    "trajectories": 1,
    "pairs": 1,
}


def penalised(ask: Callable[..., object], oracle: ExactOracle, phi: Any) -> object:
    return ask(oracle, phi, 0.1)


def problem() -> Problem:
    return bandit(contexts=1, actions=2, objective="excess_risk")


# Calls that must be refused, the argument to be named, and what the message has to contain.
CALLS: list[tuple[Callable[[], object], str, str]] = [
    *((partial(tabular, **{**VALID, name: value}), name, text) for name, value, text in REFUSED),
    *(
        (partial(tabular, **{**DISCOUNTED, name: value}), name, text)
        for name, value, text in REFUSED_WITHOUT_HORIZON
    ),
    (lambda: bandit(contexts=1, actions=2, objective="excess-risk"), "objective", "'excess_risk'"),
    (lambda: gridworld(map=["S.", "G"]), "map", "rectangular"),
    (lambda: gridworld(map=3), "map", "3.*list of rows"),
    (lambda: gridworld(map=["SG", 1]), "map", "list of rows"),
    (lambda: gridworld(features="coordinates"), "features", "'coordinates'.*indicator"),
    (lambda: garnet(states=4, actions=2, horizon=1, aliases=1.5), "aliases", r"1\.5.*0 to 2"),
    (lambda: garnet(states=4, actions=2, horizon=1, observations=0.5), "observations", r"0\.5"),
    (lambda: riverswim(states="six"), "states", "'six'"),
    (lambda: chain(length=5.0), "length", r"5\.0"),
    (lambda: garnet(states=2, actions=2, horizon=1.5), "horizon", r"1\.5"),
    (lambda: garnet(states=2, actions=2, horizon=1, branching=1.5), "branching", r"1\.5"),
    (lambda: PenaltyBilevel(**SOLVER, coupling="sharde"), "coupling", "did you mean 'shared'"),
    (lambda: PenaltyBilevel(**{**SOLVER, "trajectories": 2.5}), "trajectories", r"2\.5"),
    (lambda: SampledOracle(problem(), [0], sample_budget=1.5), "sample_budget", r"1\.5"),
    (lambda: SampledOracle(problem(), [0], read="row"), "read", "'row'.*did you mean 'rows'"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1.5, [0]), "iterations", r"1\.5"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 0, [0]), "iterations", "0"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, []), "seeds", r"\[\]"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, [3, 3]), "seeds", r"\[3, 3\]"),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, [-1]), "seeds", r"\[-1\]"),
    (lambda: tabular(**{**VALID, "true_reward": "high"}), "true_reward", "str"),
    *(
        (partial(tabular, **{**VALID, name: value}), name, text)
        for name in ("kl_weight", "discount")
        for value, text in ((None, "None"), ("a", "'a'"), (True, "True"))
    ),
    (lambda: tabular(**{**VALID, "initial": [0.25 + 0j, 0.75]}), "initial", "complex"),
    (lambda: tabular(**{**VALID, "transitions": KERNEL.astype(complex)}), "transitions", "complex"),
    (
        lambda: tabular(**{**VALID, "initial": torch.tensor([0.25 + 0j, 0.75])}),
        "initial",
        "complex",
    ),
    (lambda: tabular(**{**VALID, "initial": [0.25, 0.750002]}), "initial", "1.000002"),
    (lambda: garnet(states=2, actions=2, horizon=2**62), "horizon", str(2**62)),
    (lambda: garnet(states=2, actions=2, horizon=1, reward_scale="a"), "reward_scale", "'a'"),
    (lambda: quadratic(noise="a"), "noise", "'a'"),
    *(
        (partial(family, **arguments, seed=seed), "seed", text)
        for family, arguments in (
            (garnet, {"states": 2, "actions": 2, "horizon": 1}),
            (bandit, {"contexts": 1, "actions": 2}),
            (quadratic, {}),
        )
        for seed, text in ((-1, "-1"), (0.5, r"0\.5"), ("1", "'1'"), (True, "True"))
    ),
    *(
        (lambda seeds=seeds: run(problem(), PenaltyBilevel(**SOLVER), 1, seeds), "seeds", text)
        for seeds, text in (
            ([0.5], r"\[0\.5\]"),
            (3, "3"),
            ("12", "'12'"),
            (b"12", "b'12'"),
            ([True], r"\[True\]"),
            (None, "None"),
        )
    ),
    (lambda: run(problem(), PenaltyBilevel(**SOLVER), 1, [0], device="foo"), "device", "'foo'"),
    (lambda: ExactOracle(problem(), device="foo"), "device", "'foo'"),
    (lambda: SolverRun(PenaltyBilevel(**SOLVER), 1, sample_budget=-3), "sample_budget", "-3"),
    *(
        (lambda phi=phi, ask=ask: ask(ExactOracle(problem()), phi), "phi", text)
        for ask in (
            ExactOracle.hyperobjective,
            ExactOracle.hypergradient,
            ExactOracle.optimal_policy,
            partial(penalised, ExactOracle.penalised_policy),
            partial(penalised, ExactOracle.penalised_objective),
            partial(penalised, ExactOracle.penalised_gradient),
        )
        for phi, text in (
            ([NAN, 0.0], "nan"),
            (torch.tensor([[0.0, INF]], dtype=torch.float64), "inf"),
            (np.zeros((0, 2)), r"shape \(0, 2\).*at least one point"),
            (np.zeros(3), r"shape \(3,\)"),
            (1.0, r"shape \(\)"),
            (np.zeros(2, dtype=np.float32), "float32"),
            (np.zeros(2, dtype=int), "int64"),
            ([[0.0], [0.0, 1.0]], "list"),
            (["a", "b"], "list"),
        )
    ),
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
def refused(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str] | None]:
    """What a user sees: the type checker of these tests would refuse shapes and types earlier."""
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[1]), str(here.parents[2])]
    script = (
        f"import sys, json; sys.path[:0] = {paths!r}; import {here.stem} as cases; "
        "json.dump(cases.outcomes(), sys.stdout)"
    )
    printed = printed_by_text(script, tmp_path_factory.mktemp("refused"))
    found: list[tuple[str, str, str] | None] = json.loads(printed)
    return found


@pytest.mark.slow
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
    tabular(**DISCOUNTED)
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


@pytest.mark.parametrize("value", [True, np.True_, "1", None, [1.0], NAN, INF, 0.0, 1j])
def test_what_is_not_a_positive_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^size: received .* greater than 0"):
        require_positive("size", value)


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1.0, 0, -1, 2**62, np.int64(0)])
def test_what_is_not_a_positive_integer_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^size: received .* at least 1"):
        require_positive_integer("size", value)


def test_numbers_of_numpy_are_numbers() -> None:
    require_positive("size", np.float32(0.5))
    require_positive("size", np.int64(2))
    require_positive_integer("size", np.int32(2))
    require_positive_integer("size", 2**62 - 1)


def test_seeds_of_numpy_are_seeds() -> None:
    table = run(problem(), PenaltyBilevel(**SOLVER), 1, np.array([2, 0])).table
    assert table["seed"].tolist() == [0, 2]


def test_float32_probabilities_are_normalised_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"transitions": (5, 3, 5), "initial": (5,), "reference_policy": (5, 3)}
    laws = {
        name: torch.randn(shape, generator=generator).softmax(-1) for name, shape in shapes.items()
    }
    worst = max((law.double().sum(-1) - 1).abs().max().item() for law in laws.values())
    assert worst > 1e-8  # or nothing is tested: such rows used to be refused
    made = tabular(**laws, true_reward=np.zeros((5, 3)), horizon=2)
    for name, law in laws.items():
        kept = getattr(made, name)
        # Five terms of at most 1, each rounded once in the division and once in the sum.
        assert (kept.sum(-1) - 1).abs().max().item() <= 10 * np.finfo(float).eps
        torch.testing.assert_close(kept, law.double().expand_as(kept), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_realisability_does_not_depend_on_the_unit_of_the_reward(scale: float) -> None:
    """Rounding leaves a residual of about 1e-16 of the largest reward, which grows with the unit."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((6, 4, 12))
    direction = generator.standard_normal(12)
    inside = {"transitions": np.full((6, 4, 6), 1 / 6), "initial": np.full(6, 1 / 6)}
    made = tabular(**inside, features=features, true_reward=scale * features @ direction, horizon=1)
    assert made.realisable
    outside = scale * (features @ direction + 1e-6 * generator.standard_normal((6, 4)))
    assert not tabular(**inside, features=features, true_reward=outside, horizon=1).realisable


def test_the_remedy_for_an_undeclared_optimum_works() -> None:
    asked = bandit(contexts=1, actions=2)
    with pytest.raises(UndeclaredTruthError) as caught:
        _ = asked.optimal_hyperobjective
    remedy = "theory_check.oracles.optima.optimum.find_optimum(ExactOracle(problem))"
    assert remedy in str(caught.value)
    assert find_optimum(ExactOracle(asked), starts_per_scale=1).starts == 6


def test_parameters_may_be_tensors_arrays_or_lists() -> None:
    oracle = ExactOracle(garnet(states=2, actions=2, horizon=2, features=3))
    rows = [[0.5, -1.0, 2.0], [1.0, 0.0, -1.0]]
    expected = oracle.hypergradient(torch.tensor(rows, dtype=torch.float64))
    for phi in (rows, np.array(rows), np.array(rows)[:, ::-1][:, ::-1], tuple(map(tuple, rows))):
        assert torch.equal(oracle.hypergradient(phi), expected)
    assert torch.equal(oracle.hypergradient([1, 0, -1]), oracle.hypergradient(rows[1]))
    assert oracle.hyperobjective(np.zeros((2, 4, 3))).shape == (2, 4)
