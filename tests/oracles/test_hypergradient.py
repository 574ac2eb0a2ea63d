"""The adjoint hypergradient against three derivations that share nothing with it."""

from __future__ import annotations

import pytest
import torch
from helpers import naive
from helpers.generators import (
    contract_garnet,
    random_point,
    varied_discounted_problems,
    varied_problems,
)
from helpers.references import implicit_hypergradient, tables_of

from theory_check.oracles import ExactOracle

EPISODIC, DISCOUNTED = varied_problems(), varied_discounted_problems()
# The references differentiate products over hundreds of steps.
SMALL_DISCOUNTED = [p for p in DISCOUNTED if p.states <= 6]
PROBLEMS = EPISODIC + SMALL_DISCOUNTED
CASES = pytest.mark.parametrize("index", range(len(PROBLEMS)))


def relative_error(value: torch.Tensor, reference: torch.Tensor) -> float:
    return ((value - reference).norm() / reference.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(EPISODIC + DISCOUNTED)))
def test_central_differences(index: int) -> None:
    problem = (EPISODIC + DISCOUNTED)[index]
    oracle, phi = ExactOracle(problem), random_point(index, problem)
    # Truncation is h^2 times a third derivative of order one, rounding about 1e-16 / h: both are
    # near 1e-10 at h = 1e-5, four orders below the tolerance.
    step = 1e-5 * torch.eye(problem.parameters, dtype=torch.float64)
    values = oracle.hyperobjective(torch.stack([phi + step, phi - step]))
    differences = (values[0] - values[1]) / 2e-5
    assert relative_error(oracle.hypergradient(phi), differences) <= 1e-6


@pytest.mark.slow
@CASES
def test_implicit_formula_with_pseudo_inverse(index: int) -> None:
    problem = PROBLEMS[index]
    phi = random_point(index, problem)
    reference = implicit_hypergradient(problem, phi)
    assert relative_error(ExactOracle(problem).hypergradient(phi), reference) <= 1e-9


@pytest.mark.slow
@CASES
def test_automatic_differentiation_through_soft_value_iteration(index: int) -> None:
    problem = PROBLEMS[index]
    phi = random_point(index, problem)
    tables = tables_of(problem)

    def hyperobjective(point: torch.Tensor) -> torch.Tensor:
        log_policy = tables.optimal(naive.reward_table(problem, point))
        return tables.upper(point, log_policy.reshape(-1))

    oracle = ExactOracle(problem)
    assert oracle.hyperobjective(phi).item() == pytest.approx(hyperobjective(phi).item(), rel=1e-11)
    reference = naive.gradient(hyperobjective, phi)
    assert relative_error(oracle.hypergradient(phi), reference) <= 1e-11


@pytest.mark.parametrize("changes", [{}, {"horizon": None, "discount": 0.9}])
def test_excess_risk_is_stationary_at_the_true_reward_and_cross_entropy_is_not(
    changes: dict[str, object],
) -> None:
    # docs/theory.md section 1.4: the label entropy under the induced policy has its own gradient.
    excess = contract_garnet("excess_risk", **changes)
    cross = contract_garnet("cross_entropy", **changes)
    assert ExactOracle(excess).hypergradient(excess.true_parameters).norm() < 1e-12
    assert ExactOracle(cross).hypergradient(cross.true_parameters).norm() > 1e-3
