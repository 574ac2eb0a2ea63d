"""The measurements of class floors and of global optimality on problems small enough to check."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from theory_check.errors import InvalidArgumentError
from theory_check.measurements import global_optimality
from theory_check.measurements.global_optimality import GlobalOptimality, universal_optimum
from theory_check.measurements.neural_bias import NeuralBias
from theory_check.models import Linear, MLPReward, TransformerPolicy, TransformerReward
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima import class_floor
from theory_check.problems import bandit, garnet, sequences
from theory_check.problems.misspecification import observation_basis
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

SOLVER = PenaltyBilevel(
    sigma=0.1,
    inner_steps=2,
    inner_step_size=0.5,
    step_size=0.2,
    trajectories=10**8,
    pairs=10**8,
)


TRANSFORMERS: dict[str, Any] = {"reward": TransformerReward(), "policy": TransformerPolicy()}


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.mark.every_case
@pytest.mark.slow
def test_rows_of_neural_bias() -> None:
    problem = garnet(states=4, actions=2, horizon=2, observations=2, objective="excess_risk")
    table = NeuralBias(widths=(1, 12), restarts=2, iterations=150).measure(problem, [0, 5], silent)
    assert len(table) == 2 * 2 * 2
    assert table.columns[0] == "seed"
    assert set(table.status) == {"ok"}
    for _, rows in table.groupby(["seed", "parametric_class"]):
        first, last = rows["floor"]
        assert first > 1e-4 > last
        assert (rows["largest_floor"] == last).all()
        expected = 0.0 if last <= 1e-6 else last / first
        assert rows["floor_ratio"].iloc[1] == pytest.approx(expected)
        assert 0 < rows["floor_ratio"].iloc[0] < 1
    policy = table[table.parametric_class == "policy"]
    # Where the class contains the optimum, its policy gives the exact hypergradient.
    assert (policy.loc[policy.width == 12, "hypergradient_error"] < 1e-6).all()
    assert (policy.loc[policy.width == 1, "hypergradient_error"] > 1e-6).all()


@pytest.mark.every_case
@pytest.mark.slow
def test_rows_of_neural_bias_by_layers_of_transformers() -> None:
    problem = sequences(prompts=1, vocabulary=2, length=3, features=3, objective="excess_risk")
    table = NeuralBias(
        widths=(2,), layers=(1, 2), restarts=2, iterations=30, **TRANSFORMERS
    ).measure(problem, [0, 5], silent)
    assert len(table) == 2 * 2 * 2
    assert set(table.activation) == {"gelu"}
    for _, rows in table.groupby(["seed", "parametric_class"]):
        assert rows["layers"].tolist() == [1, 2]
        assert (rows["width"] == 2).all()
        # The deeper networks start at the best of the shallower ones.
        assert rows["floor"].is_monotonic_decreasing
        assert rows["floor"].iloc[0] > 1e-6


def test_fits_by_systems_of_outputs_end_where_those_of_parameters_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = garnet(states=4, actions=2, horizon=2, observations=2, objective="excess_risk")
    measurement = NeuralBias(widths=(2,), restarts=2, iterations=40)
    floors = {}
    for limit in (0, 1000):
        monkeypatch.setattr(class_floor, "MANY_PARAMETERS", limit)
        floors[limit] = measurement.measure(problem, [0, 5], silent)["floor"]
    np.testing.assert_allclose(floors[0], floors[1000], rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"widths": (2, 1)}, "widths"),
        ({"activations": ("tanh", "tanh")}, "activations"),
        ({"layers": (1, 2)}, "widths"),
        ({"widths": (2,), "layers": (2, 1), **TRANSFORMERS}, "layers"),
        # What a class has no choice of.
        ({"widths": (2,), "layers": (1, 2)}, "layers"),
        ({"widths": (2,), "activations": ("tanh",), **TRANSFORMERS}, "activation"),
        ({"reward": Linear()}, "width"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, object], argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received"):
        NeuralBias(**{"widths": (1, 2), **changes})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_universal_optimum_bounds_every_network() -> None:
    problem = bandit(
        contexts=4,
        actions=2,
        observations=2,
        aliases=1,
        misspecification=0.3,
        misspecified_for="observations",
        kl_weight=2.0,
        objective="excess_risk",
    )
    value, _ = universal_optimum(problem)
    assert value > 0
    network = problem.with_classes(reward=MLPReward(width=6))
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((64, network.parameters)))
    assert bool((ExactOracle(network).hyperobjective(3 * noise) > value).all())


def test_a_realisable_risk_has_the_declared_optimum() -> None:
    problem = bandit(contexts=3, actions=2, observations=2, objective="excess_risk")
    assert universal_optimum(problem) == (0.0, True)


def test_a_class_that_reads_texts_sees_more_than_observations() -> None:
    """Observations have the last two tokens of a text: a reward of four is no function of them."""
    problem = sequences(vocabulary=2, length=4, features=3, objective="excess_risk")
    assert universal_optimum(problem, reads_prefixes=True) == (0.0, True)
    basis = observation_basis(problem.observations, 2).reshape(problem.states, 2, -1)
    assert not dataclasses.replace(problem, features=basis).realisable


@pytest.mark.slow
def test_rows_of_global_optimality_with_transformers() -> None:
    problem = sequences(vocabulary=2, length=2, features=2, objective="excess_risk")
    solver = dataclasses.replace(SOLVER, step_size=0.1, inner_step_size=0.2)
    table = GlobalOptimality(solver, iterations=20, widths=(2, 4), **TRANSFORMERS).measure(
        problem, [0, 1], silent
    )
    assert set(table.status) == {"ok"}
    assert (table.optimality_gap == table.hyperobjective).all()
    assert (table.optimality_gap < table.initial_gap).all()
    with pytest.raises(InvalidArgumentError, match=r"^width: received"):
        GlobalOptimality(solver, iterations=1, widths=(2,), reward=Linear())


@pytest.mark.slow
def test_rows_of_global_optimality() -> None:
    problem = bandit(contexts=3, actions=2, observations=2, objective="excess_risk")
    table = GlobalOptimality(solver=SOLVER, iterations=60, widths=(4, 16)).measure(
        problem, [0, 1, 2], silent
    )
    assert len(table) == 6
    # The optimum is declared, and no run can end below 0.
    assert set(table.status) == {"ok"}
    assert (table.iteration == 60).all()
    assert (table.optimality_gap == table.hyperobjective).all()
    np.testing.assert_allclose(table.relative_gap, table.optimality_gap / table.initial_gap)
    assert (table.optimality_gap < table.initial_gap).all()


def test_steps_shrink_with_the_width() -> None:
    measurement = GlobalOptimality(solver=SOLVER, iterations=1, widths=(1,), full_step_width=8)
    assert measurement.solver_for(2) == SOLVER
    assert measurement.solver_for(32).step_size == SOLVER.step_size / 4
    assert measurement.solver_for(32).inner_step_size == SOLVER.inner_step_size / 4


def test_widths_are_refused_when_repeated() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^widths: received"):
        GlobalOptimality(solver=SOLVER, iterations=1, widths=(2, 2))


def test_a_run_below_the_reference_refutes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference of 10 nats is above every value: no gap is negative, and nothing counts."""
    problem = bandit(contexts=3, actions=2, observations=2, objective="excess_risk")
    monkeypatch.setattr(global_optimality, "universal_optimum", lambda *problem: (10.0, True))
    table = GlobalOptimality(SOLVER, iterations=2, widths=(2,)).measure(problem, [0, 1], silent)
    assert set(table["status"]) == {global_optimality.NOT_CERTIFIED}
    assert table["optimum"].max() <= table["hyperobjective"].min()
    assert table["optimality_gap"].min() >= 0
