"""Contract of every solver, found by its file, and closed-form answers for the reference solver."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers.generators import contract_garnet, random_point, random_problem
from helpers.methods import EPSILON, METHODS, SCALES, chosen, configured
from helpers.quadratic import QuadraticOracle

from theory_check.bilevel import Information, Solver
from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.oracles import ExactOracle
from theory_check.oracles.closed_form import ClosedFormInstruments
from theory_check.oracles.exact_information import ExactInformation
from theory_check.problems import quadratic
from theory_check.recording.run import run
from theory_check.solvers.method import GRID_SIZE, Method
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState
from theory_check.testing import check_solver, failures

PROBLEM = random_problem(31, (2, 2, 2), objective="excess_risk", features=2)


def test_every_solver_is_compared() -> None:
    assert {method.solver for method in installed().methods.values()} == set(
        installed().solvers.values()
    )
    assert all(name == method.id for name, method in installed().methods.items())
    assert len({method.title for method in installed().methods.values()}) == len(
        installed().methods
    )


@METHODS
def test_solvers_say_what_they_are(method: Method) -> None:
    solver = configured(method)
    assert isinstance(solver, Solver)
    assert installed().solvers[solver.name] is type(solver) is method.solver
    assert solver.information in get_args(Information)
    assert solver.penalty is None or solver.penalty == solver.sigma


@METHODS
def test_it_keeps_the_contract(method: Method) -> None:
    assert failures(check_solver(method)) == ()


@METHODS
@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, math.nan])
def test_accuracies_that_are_refused(method: Method, epsilon: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^epsilon.*{epsilon}.*pass"):
        method.configure(epsilon, method.grid[0], SCALES)


@METHODS
def test_grids_that_are_refused(method: Method) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^constants"):
        method.configure(EPSILON, {**method.grid[0], "unknown": 1.0}, SCALES)
    missing = dict(list(method.grid[0].items())[1:])
    with pytest.raises(InvalidArgumentError, match=r"^constants"):
        method.configure(EPSILON, missing, SCALES)
    with pytest.raises(InvalidArgumentError, match=rf"constants.*grid of 3 settings.*{GRID_SIZE}"):
        dataclasses.replace(method, constants={"step_size": (0.1, 0.2, 0.3)})


@chosen(information="samples")
def test_the_budget_is_respected(method: Method) -> None:
    solver = configured(method)
    first = run(PROBLEM, solver, 1, [0, 1]).table.iloc[0]
    budget = int(3.5 * (first.trajectories + first.labels))
    assert budget > 0
    table = run(
        PROBLEM, solver, 2000, [0, 1], sample_budget=budget, points_per_decade=1, ergodic=False
    ).table
    assert (table.trajectories + table.labels <= budget).all()
    assert (table.exact_calls == 0).all()
    for _, rows in table.groupby("seed"):
        assert rows.status.tolist()[-1] == "budget exhausted"
        assert set(rows.status.tolist()[:-1]) == {"ok"}
        assert rows.iteration.tolist()[-1] > 3


@chosen(information="exact")
def test_exact_methods_draw_nothing_and_are_counted(method: Method) -> None:
    # A budget of one sample: nothing that draws gets anywhere.
    table = run(PROBLEM, configured(method), 3, [0, 1], sample_budget=1, points_per_decade=9).table
    assert set(table.status) == {"ok"}
    for _, rows in table.groupby("seed"):
        assert rows.iteration.tolist() == [1, 2, 3]
        calls = rows.exact_calls.to_numpy()
        assert calls[0] > 0
        np.testing.assert_array_equal(calls, calls[0] * np.arange(1, 4))
    assert (table[["trajectories", "labels", "env_steps"]] == 0).all(axis=None)


@pytest.mark.slow
@pytest.mark.every_case
@METHODS
def test_a_replicate_alone_equals_itself_in_a_batch(method: Method) -> None:
    solver = configured(method)
    together, alone = (run(PROBLEM, solver, 4, seeds) for seeds in ([0, 1, 2], [1]))
    torch.testing.assert_close(together.final_upper[1:2], alone.final_upper, rtol=1e-9, atol=0)
    rows = together.table[together.table.seed == 1].drop(columns="status")
    numbers = alone.table.drop(columns="status")
    # Squared errors of vectors of order one are known to 1e-15, which is their rounding.
    np.testing.assert_allclose(
        rows.to_numpy(dtype=float), numbers.to_numpy(dtype=float), rtol=1e-9, atol=1e-15
    )


@pytest.mark.slow
@METHODS
def test_divergence_is_a_status(method: Method) -> None:
    solver = configured(method, step_size=1e308)
    # Gradients of the quadratic grow with the variables: a step of 1e308 cannot stay finite.
    if not ClosedFormInstruments.lacking(solver):
        table = run(quadratic(), solver, 12, [0, 1, 2]).table
        assert set(table.groupby("seed").status.last()) == {"diverged"}
        for _, rows in table.groupby("seed"):
            assert (rows.status == "diverged").sum() == 1
    # Those of RLHF vanish where a policy is deterministic, and a run may end there; none raises.
    table = run(PROBLEM, solver, 12, [0, 1, 2]).table
    assert set(table.groupby("seed").status.last()) <= {"diverged", "ok"}
    assert (table[table.status == "diverged"].groupby("seed").size() == 1).all()


def reference(**changes: object) -> PenaltyBilevel:
    arguments: dict[str, Any] = {
        "sigma": 0.2,
        "inner_steps": 10,
        "inner_step_size": 0.4,
        "step_size": 0.1,
        "trajectories": 50,
        "pairs": 50,
    }
    return PenaltyBilevel(**{**arguments, **changes})


def test_the_estimate_tends_to_the_closed_form_gradient() -> None:
    oracle, sigma = QuadraticOracle(), 0.2
    upper = torch.tensor([[1.3, -0.4], [0.0, 2.0]]).double()
    # Both Hessians have eigenvalues in {0.2, ...} or 0 with no pull along it: 0.4 * 0.2 per step.
    solver = reference(inner_steps=500)
    state = solver.step(oracle, solver.init(upper, torch.randn(2, 3).double()))
    expected = oracle.penalised_gradient(upper, sigma)
    assert (state.estimate - expected).abs().max() < 1e-12
    assert torch.allclose(state.next_upper, upper - 0.1 * state.estimate, rtol=1e-15)
    # The closed form itself, by central differences of values (truncation is zero: quadratic).
    step = 1e-3 * torch.eye(2, dtype=torch.float64)
    for row in range(2):
        values = oracle.penalised_value(torch.cat([upper[row] + step, upper[row] - step]), sigma)
        assert torch.allclose((values[:2] - values[2:]) / 2e-3, expected[row], atol=1e-10)


@pytest.mark.slow
def test_converges_to_the_minimiser_of_the_surrogate() -> None:
    oracle = QuadraticOracle()
    solver = reference(inner_steps=30)
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
    solver = reference(inner_steps=2, trajectories=30, pairs=70, coupling=coupling)
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
    solver = reference(sigma=sigma, coupling=coupling)
    estimate = solver.hypergradient_estimate(information, state)
    assert (estimate - exact.penalised_gradient(phi, sigma)).norm(dim=-1).max() < 1e-9
