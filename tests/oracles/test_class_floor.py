"""Floors of network classes: Jacobians, objectives and fits against independent computations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.generators import random_problem
from scipy import optimize
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models.mlp_policy import MLPPolicy
from theory_check.models.mlp_reward import MLPReward
from theory_check.models.network_policy import output_jacobian, widened
from theory_check.models.output_networks import outputs_of
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima.class_bias import (
    OutputObjective,
    PolicyGap,
    PolicyImitation,
    PreferenceRisk,
)
from theory_check.oracles.optima.class_floor import Search, class_floors, fit_networks
from theory_check.problems import garnet

EPISODIC = random_problem(7, (3, 2, 2), discount=0.9)
DISCOUNTED = garnet(
    states=5, actions=2, horizon=None, discount=0.8, kl_weight=0.7, observations=2, seed=3
)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def objectives(problem: object, replicates: int) -> dict[str, OutputObjective]:
    exact = ExactOracle(problem)
    reward = normal(1, replicates, exact.problem.states, exact.problem.actions)
    optimal = exact.control.optimal_log_policy(reward)
    law = exact.space.sum_by_class(exact.comparisons.probabilities(optimal))
    return {
        "gap": PolicyGap(exact.control, optimal),
        "imitation": PolicyImitation(exact.control, optimal),
        "risk": PreferenceRisk(exact.space.classes, exact.space.class_returns(reward), law),
    }


def entries(problem: object, name: str) -> int:
    exact = ExactOracle(problem)
    pairs = exact.problem.states * exact.problem.actions
    return pairs if name == "risk" else pairs * exact.problem.steps


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(3,), (4, 3)])
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_jacobian_rows_are_pullbacks_of_unit_cotangents(
    hidden: tuple[int, ...], activation: str
) -> None:
    network = StackedMLP(normal(0, 4, 2), hidden, 3, activation)  # type: ignore[arg-type]
    parameters = normal(1, 2, network.parameters)
    jacobian = output_jacobian(network, parameters)
    for row in range(4):
        for output in range(3):
            unit = torch.zeros(2, 4, 3, dtype=torch.float64)
            unit[:, row, output] = 1.0
            expected = network.pullback(parameters, unit)
            torch.testing.assert_close(jacobian[:, row, output], expected, rtol=1e-12, atol=1e-14)


def test_a_widened_network_computes_the_same() -> None:
    inputs = normal(0, 6, 2)
    narrow, wide = (StackedMLP(inputs, (width,), 3) for width in (2, 5))
    parameters = normal(1, 4, narrow.parameters)
    grown = widened(narrow, wide, parameters, normal(2, 4, wide.parameters))
    torch.testing.assert_close(wide.forward(grown), narrow.forward(parameters))
    # The new units can be used: their outgoing weights have a gradient.
    slope = wide.pullback(grown, torch.ones(4, 6, 3, dtype=torch.float64))
    outgoing = wide.layers[1]
    assert bool((slope[:, outgoing.start : outgoing.biases].abs() > 1e-8).all())
    with pytest.raises(InvalidArgumentError, match=r"^wide: received"):
        widened(wide, narrow, grown, parameters)


@pytest.mark.every_case
@pytest.mark.parametrize("problem", [EPISODIC, DISCOUNTED], ids=["episodic", "discounted"])
@pytest.mark.parametrize("name", ["gap", "imitation", "risk"])
def test_gradients_against_central_differences(problem: object, name: str) -> None:
    """Step 1e-5: truncation 1e-10 times a third derivative, rounding 1e-15 / 1e-5 = 1e-10."""
    objective = objectives(problem, 2)[name]
    outputs = normal(5, 2, entries(problem, name))
    gradient = objective.local_model(outputs).gradient
    for entry in range(outputs.shape[1]):
        move = torch.zeros_like(outputs)
        move[:, entry] = 1e-5
        change = objective.value(outputs + move) - objective.value(outputs - move)
        torch.testing.assert_close(change / 2e-5, gradient[:, entry], rtol=1e-6, atol=1e-8)


@pytest.mark.every_case
@pytest.mark.parametrize("problem", [EPISODIC, DISCOUNTED], ids=["episodic", "discounted"])
@pytest.mark.parametrize("name", ["gap", "imitation", "risk"])
def test_at_the_target_the_value_is_zero_and_the_curvature_its_hessian(
    problem: object, name: str
) -> None:
    """At distance 1e-4 the value is the quadratic form up to a relative error of order 1e-4."""
    exact = ExactOracle(problem)
    objective = objectives(problem, 2)[name]
    if isinstance(objective, PreferenceRisk):
        target = normal(1, 2, exact.problem.states, exact.problem.actions).flatten(1)
    else:
        assert isinstance(objective, PolicyGap | PolicyImitation)
        target = (objective.optimal - exact.control.log_reference).flatten(1)
    torch.testing.assert_close(
        objective.value(target), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15
    )
    move = 1e-4 * normal(9, *target.shape)
    curvature = objective.local_model(target).curvature
    expected = 0.5 * torch.einsum("ri,rij,rj->r", move, curvature, move)
    torch.testing.assert_close(objective.value(target + move), expected, rtol=2e-3, atol=1e-15)


def test_policy_gap_is_the_difference_of_objectives() -> None:
    exact = ExactOracle(DISCOUNTED)
    reward = normal(1, 2, 5, 2)
    optimal = exact.control.optimal_log_policy(reward)
    outputs = normal(4, 2, 10)
    log_policy = torch.log_softmax(outputs.reshape(2, 1, 5, 2) + exact.control.log_reference, -1)
    expected = exact.control.lower_objective(reward, optimal) - exact.control.lower_objective(
        reward, log_policy
    )
    torch.testing.assert_close(PolicyGap(exact.control, optimal).value(outputs), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gap", "risk"])
def test_fits_end_where_a_library_finds_nothing_lower(name: str) -> None:
    """BFGS from the end of a fit gains less than 1 % where the fit has converged."""
    objective = objectives(DISCOUNTED, 1)[name]
    inputs = DISCOUNTED.model_inputs
    bound = MLPPolicy(width=1) if name == "gap" else MLPReward(width=1)
    model = bound.bind(inputs)
    start = model.initial(normal(3, 1, model.parameters))
    fit = fit_networks(
        outputs_of(model),
        objective,
        start,
        iterations=400,
        value_tolerance=1e-12,
        decrease_tolerance=1e-4,
    )

    def value(flat: np.ndarray) -> float:
        outputs = model.network.forward(torch.from_numpy(flat[None])).flatten(1)
        return float(objective.value(outputs)[0])

    assert fit.value[0] < 0.99 * value(start[0].numpy())
    assert value(fit.parameters[0].numpy()) == pytest.approx(float(fit.value[0]), rel=1e-12)
    found = optimize.minimize(value, fit.parameters[0].numpy(), method="BFGS")
    assert found.fun > 0.99 * float(fit.value[0])


def test_a_wide_enough_class_has_no_floor_and_replicates_are_their_own() -> None:
    model = MLPReward(width=12).bind(DISCOUNTED.model_inputs)
    both = objectives(DISCOUNTED, 2)["risk"]
    (floor,) = class_floors([model], both, None, [3, 8], Search(restarts=2, iterations=200))
    assert bool((floor.best.value < 1e-9).all())
    second = both.select(torch.tensor([1]))
    (alone,) = class_floors([model], second, None, [8], Search(restarts=2, iterations=200))
    assert floor.start[1] == alone.start[0]


@pytest.mark.slow
def test_floors_of_nested_classes_never_rise() -> None:
    models = [MLPPolicy(width=width).bind(DISCOUNTED.model_inputs) for width in (1, 2, 3)]
    problem = objectives(DISCOUNTED, 2)
    floors = list(
        class_floors(
            models, problem["gap"], problem["imitation"], [0, 1], Search(restarts=2, iterations=60)
        )
    )
    for narrow, wide in pairwise(floors):
        assert bool((wide.best.value <= narrow.best.value * (1 + 1e-9) + 1e-12).all())
