"""Contract of every solver, found by its file, and closed-form answers for the reference solver."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from helpers.generators import contract_garnet, random_point, random_problem
from helpers.quadratic import QuadraticOracle

from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.runs.trace import run
from theory_check.solvers import solver_classes
from theory_check.solvers.penalty_bilevel import PenaltyBilevel, PenaltyState

# A new solver adds its smallest sensible arguments here; without them its tests fail.
MINIMAL: dict[str, dict[str, Any]] = {
    "alternating": {
        "inner_steps": 10,
        "inner_step_size": 0.4,
        "step_size": 0.1,
        "trajectories": 50,
        "pairs": 50,
    },
    "penalty-bilevel": {
        "sigma": 0.2,
        "inner_steps": 10,
        "inner_step_size": 0.4,
        "step_size": 0.1,
        "trajectories": 50,
        "pairs": 50,
    },
}
SOLVERS = pytest.mark.parametrize("name", solver_classes())


def build(name: str, **changes: object) -> Any:
    assert name in MINIMAL, f"give minimal arguments for the solver {name!r} in this file"
    return solver_classes()[name](**{**MINIMAL[name], **changes})


def test_the_reference_solver_is_found() -> None:
    assert solver_classes()["penalty-bilevel"] is PenaltyBilevel


@SOLVERS
def test_configuration_is_frozen_and_equal_by_value(name: str) -> None:
    solver = build(name)
    assert solver == build(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        solver.sigma = 1.0


@SOLVERS
def test_impossible_settings_are_refused(name: str) -> None:
    build(name)
    # Values of the wrong type are refused by the type checker of the tests before they get here.
    bad_numbers = [0.0, -1.0, float("nan"), float("inf")]
    for argument, value in MINIMAL[name].items():
        for bad in bad_numbers if isinstance(value, float) else [0, -3, True]:
            with pytest.raises(InvalidArgumentError, match=f"{argument}.*{bad}.*pass") as caught:
                build(name, **{argument: bad})
            assert caught.value.argument == argument


@SOLVERS
def test_descends_on_the_quadratic_with_finite_states(name: str) -> None:
    solver, oracle = build(name), QuadraticOracle()
    start = torch.tensor([[3.0, 2.0], [-2.0, 1.0]]).double()
    state = solver.init(start, torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(state.next_upper, start)
    for _ in range(200):
        before = state.next_upper
        state = solver.step(oracle, state)
        assert torch.equal(state.upper, before)
        for part in (state.upper, state.lower, state.estimate, state.next_upper):
            assert torch.isfinite(part).all()
            assert part.shape[0] == 2
    value = oracle.penalised_value(state.next_upper, 1e-3)
    assert (value < 0.5 * oracle.penalised_value(start, 1e-3)).all()


@SOLVERS
def test_divergence_is_a_status(name: str) -> None:
    problem = random_problem(31, (2, 2, 2), objective="excess_risk", features=2)
    solver = build(name, step_size=1e308)
    table = run(problem, solver, 12, [0, 1, 2]).table
    assert set(table.groupby("seed").status.last()) == {"diverged"}
    for _, rows in table.groupby("seed"):
        assert (rows.status == "diverged").sum() == 1


def test_the_estimate_tends_to_the_closed_form_gradient() -> None:
    oracle, sigma = QuadraticOracle(), 0.2
    upper = torch.tensor([[1.3, -0.4], [0.0, 2.0]]).double()
    # Both Hessians have eigenvalues in {0.2, ...} or 0 with no pull along it: 0.4 * 0.2 per step.
    solver = build("penalty-bilevel", inner_steps=500)
    state = solver.step(oracle, solver.init(upper, torch.randn(2, 3).double()))
    expected = oracle.penalised_gradient(upper, sigma)
    assert (state.estimate - expected).abs().max() < 1e-12
    assert torch.allclose(state.next_upper, upper - 0.1 * state.estimate, rtol=1e-15)
    # The closed form itself, by central differences of values (truncation is zero: quadratic).
    step = 1e-3 * torch.eye(2, dtype=torch.float64)
    for row in range(2):
        values = oracle.penalised_value(torch.cat([upper[row] + step, upper[row] - step]), sigma)
        assert torch.allclose((values[:2] - values[2:]) / 2e-3, expected[row], atol=1e-10)


def test_converges_to_the_minimiser_of_the_surrogate() -> None:
    oracle = QuadraticOracle()
    solver = build("penalty-bilevel", inner_steps=30)
    state = solver.init(torch.zeros(1, 2).double(), torch.zeros(1, 3).double())
    for _ in range(600):
        state = solver.step(oracle, state)
    # Phi_sigma is quadratic with gradient M x + c, both read off at three points.
    origin = oracle.penalised_gradient(torch.zeros(1, 2).double(), 0.2)
    matrix = oracle.penalised_gradient(torch.eye(2).double(), 0.2) - origin
    minimiser = torch.linalg.solve(matrix.T, -origin[0])
    assert (state.next_upper[0] - minimiser).abs().max() < 1e-9


@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_samples_and_coupling_reach_the_oracle(coupling: str) -> None:
    oracle = QuadraticOracle()
    solver = build("penalty-bilevel", inner_steps=2, trajectories=30, pairs=70, coupling=coupling)
    solver.step(oracle, solver.init(torch.zeros(1, 2).double(), torch.zeros(1, 3).double()))
    inner = [("lower pair", 30, coupling), ("upper", 70, None)]
    assert oracle.calls == [*inner, *inner, ("upper", 70, None), ("difference", 30, coupling)]


@pytest.mark.parametrize("sigma", [0.2, 0.02])
@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_exact_information_at_exact_inner_solutions_gives_the_penalised_gradient(
    sigma: float, coupling: str
) -> None:
    problem = contract_garnet()
    exact, information = ExactOracle(problem), ExactInformation(problem)
    phi = random_point(1, problem, 3)
    state = PenaltyState(
        upper=phi,
        next_upper=phi,
        lower=exact.optimal_policy(phi).flatten(1),
        lower_penalised=exact.penalised_policy(phi, sigma).flatten(1),
        estimate=torch.zeros_like(phi),
    )
    solver = build("penalty-bilevel", sigma=sigma, coupling=coupling)
    estimate = solver.hypergradient_estimate(information, state)
    assert (estimate - exact.penalised_gradient(phi, sigma)).norm(dim=-1).max() < 1e-9
