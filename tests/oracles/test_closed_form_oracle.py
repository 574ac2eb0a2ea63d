"""Operations of closed-form oracles against central differences of values and minimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import zero_chain as chain
from helpers.methods import dense
from helpers.significance import assert_mean
from torch import Tensor

from theory_check.errors import SampleBudgetExhausted
from theory_check.oracles.closed_form import ClosedFormOracle, SampledClosedFormOracle
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.problems import plateau, quadratic, quartic, valley, zero_chain
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.problems.quadratic import UPPER_WEIGHT

PROBLEMS: dict[str, Any] = {
    # As many directions as upper variables, fewer, and more.
    "quadratic": quadratic(noise=1.0),
    "quadratic, fewer": quadratic(upper=4, lower=5, rank=2, noise=1.0),
    "quadratic, more": quadratic(upper=2, lower=5, rank=4, noise=1.0),
    "quartic": quartic(noise=1.0),
    "plateau": plateau(epsilon=0.3),
    "valley": valley(),
    "zero chain": zero_chain(),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)
# The chain has a minimiser that is not linear, and no noise in f: see its own tests.
LINEAR = pytest.mark.parametrize("label", [label for label in PROBLEMS if label != "zero chain"])


def f(problem: Any, x: Tensor, y: Tensor) -> Tensor:
    if problem.name == "quartic":
        return y.square().sum(-1) / 2
    if problem.name == "zero-chain":
        return chain.upper_value(problem, y)
    if problem.name in ("plateau", "valley"):
        u = y[:, 1] - x[:, 1]
        slack = problem.slope * (
            u + torch.log(torch.cosh(2 * problem.bend * u)) / (4 * problem.bend)
        )
        return problem.height(y[:, 0]) + slack + problem.stiffness * x[:, 1].square() / 2
    miss = y @ problem.directions.T - problem.target
    return (miss.square().sum(-1) + UPPER_WEIGHT * x.square().sum(-1)) / 2


def g(problem: Any, x: Tensor, y: Tensor) -> Tensor:
    if problem.name == "quartic":
        return ((y - x) ** 4).sum(-1)
    if problem.name == "zero-chain":
        return chain.lower_value(problem, x, y)
    if problem.name in ("plateau", "valley"):
        miss = (y - x).square()
        return (miss[:, 0] + (1 + torch.tanh(x[:, 1]) / 2) * miss[:, 1]) / 2
    miss = y @ problem.directions.T - x @ problem.response.T
    return (problem.curvatures * miss.square()).sum(-1) / 2


def setting(label: str) -> tuple[ClosedFormProblem, ClosedFormOracle, Tensor, Tensor, Tensor]:
    problem = PROBLEMS[label]
    generator = torch.Generator().manual_seed(7)

    reach = 0.1 if label == "zero chain" else 1.0  # whose length scale is 0.2

    def draw(size: int) -> Tensor:
        return reach * torch.randn(3, size, generator=generator, dtype=torch.float64)

    x, y, other = draw(problem.upper_parameters), *(draw(problem.lower_parameters) for _ in "12")
    return problem, ClosedFormOracle(problem), x, y, other


def slope(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return central differences, step 1e-5: truncation 1e-10 times derivatives below 1e3."""
    columns = []
    for index in range(at.shape[1]):
        step = torch.zeros_like(at)
        step[:, index] = 1e-5
        columns.append((value(at + step) - value(at - step)) / 2e-5)
    return torch.stack(columns, dim=-1)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@LABELS
def test_gradients_alone_and_at_two_points(label: str) -> None:
    problem, oracle, x, y, other = setting(label)
    close(oracle.upper_gradient(x, y, 1), slope(lambda at: f(problem, at, y), x))
    found = oracle.lower_gradient_change(x, y, x + 0.3, other, 1)
    close(found.at_lower, slope(lambda at: g(problem, x, at), y))
    close(found.at_penalised, slope(lambda at: g(problem, x + 0.3, at), other))


@LABELS
def test_the_total_gradient_is_a_chain_rule(label: str) -> None:
    problem, oracle, x, y, _ = setting(label)
    total = oracle.total_gradient(x, y, 1, 1, separate_values=True)
    close(total.direct, slope(lambda at: f(problem, at, y), x))
    # dy*/dx by differences of the minimiser, times ∂_y f by differences of values.
    moves = slope(problem.lower_minimiser, x)
    pull = slope(lambda at: f(problem, x, at), y)
    close(total.response, (moves.mT @ pull[:, :, None]).squeeze(-1))
    at_optimum = oracle.total_gradient(x, problem.lower_minimiser(x), 1, 1)
    close(at_optimum.direct + at_optimum.response, slope(problem.hyperobjective, x))


@LABELS
def test_penalties_are_the_gap_of_the_lower_level(label: str) -> None:
    problem, oracle, x, _, other = setting(label)
    least = problem.lower_minimiser(x)
    # min g = 0 for every x.
    close(
        oracle.pointwise_penalty_in_upper(x, least, other, 1),
        slope(lambda at: g(problem, at, other), x),
    )
    close(
        oracle.pointwise_penalty_in_lower(x, least, other, 1),
        slope(lambda at: g(problem, x, at), other),
    )


@LINEAR
def test_the_implied_upper_variable_is_nearest_and_differentiated(label: str) -> None:
    problem, oracle, x, y, _ = setting(label)
    implied = oracle.implied_upper(y)
    miss = problem.lower_minimiser(implied) - y
    moves = slope(problem.lower_minimiser, x)  # the same everywhere: y* is linear
    assert (moves.mT @ miss[:, :, None]).abs().max() < 1e-8
    again = oracle.implied_upper(problem.lower_minimiser(implied))
    torch.testing.assert_close(again, implied, rtol=1e-10, atol=1e-12)
    # The law of the samples, here the second argument of f, is held fixed.
    found = oracle.implicit_gradient(y, 1)
    close(found, slope(lambda at: f(problem, oracle.implied_upper(at), y), y))
    found = oracle.implicit_objective_gradient(y, 1)
    close(found, slope(lambda at: f(problem, oracle.implied_upper(at), at), y))


@LABELS
def test_contractions_and_optima(label: str) -> None:
    problem, oracle, x, y, _ = setting(label)
    least = oracle.optimal_lower(x)
    assert problem.lower_gap(x, least).abs().max() < 1e-12
    torch.testing.assert_close(oracle.contracted_lower(x, least), least, rtol=1e-12, atol=1e-14)
    moved = oracle.contracted_lower(x, y) - least
    torch.testing.assert_close(moved, (y - least) / 2, rtol=1e-12, atol=1e-14)


@LABELS
def test_the_adjoint_system_is_the_hessian_of_the_lower_level(label: str) -> None:
    problem, oracle, x, y, vector = setting(label)
    system = oracle.adjoint_system(x, y)
    hessian = slope(lambda at: oracle.lower_gradient(x, at, 1), y)
    close(dense(system), hessian)
    close(system.apply_transposed(vector), (hessian.mT @ vector[:, :, None]).squeeze(-1))
    close(system.right_hand_side, slope(lambda at: f(problem, x, at), y))
    cross = slope(lambda at: problem.lower_gradients(x, at)[0], y)
    expected = slope(lambda at: f(problem, at, y), x) - (cross @ vector[:, :, None]).squeeze(-1)
    close(system.hypergradient(vector), expected)


@pytest.mark.parametrize("label", [label for label in PROBLEMS if label != "quartic"])
def test_solving_the_system_at_the_optimum_gives_the_hypergradient(label: str) -> None:
    """Not for the quartic, whose Hessian vanishes there."""
    problem, oracle, x, _, _ = setting(label)
    system = oracle.adjoint_system(x, problem.lower_minimiser(x))
    inverse = torch.linalg.pinv(dense(system), rtol=1e-10)
    solution = (inverse @ system.right_hand_side[:, :, None]).squeeze(-1)
    torch.testing.assert_close(
        system.hypergradient(solution), problem.hypergradient(x), rtol=1e-10, atol=1e-12
    )


@pytest.mark.slow
@LINEAR
def test_sampled_operations_have_the_exact_mean(label: str) -> None:
    """Seven tests over 1000 replicates, each with false-alarm probability 1e-6."""
    problem, oracle, x, y, other = setting(label)
    sampled = SampledClosedFormOracle(problem, range(1000))

    def both(call: Callable[[Any, Tensor, Tensor, Tensor], Tensor]) -> None:
        many = (part[:1].expand(1000, -1) for part in (x, y, other))
        found, expected = call(sampled, *many), call(oracle, x[:1], y[:1], other[:1])
        assert found.std(0).max() > 0
        assert_mean(found.numpy(), expected[0].numpy())

    both(lambda o, x, y, z: o.total_gradient(x, y, 5, 5).response)
    both(lambda o, x, y, z: o.implicit_gradient(y, 5))
    both(lambda o, x, y, z: o.implicit_objective_gradient(y, 5))
    if label not in ("plateau", "valley"):  # whose errors cancel in a difference
        both(lambda o, x, y, z: o.pointwise_penalty_in_upper(x, y, z, 5))
    both(lambda o, x, y, z: o.pointwise_penalty_in_lower(x, y, z, 5))
    both(lambda o, x, y, z: o.lower_gradient_change(x, y, x, z, 5).at_penalised)
    both(lambda o, x, y, z: o.upper_gradient(x, y, 5))


def test_what_operations_count_and_what_a_budget_refuses() -> None:
    problem, _, x, y, other = setting("quadratic")
    oracle = SampledClosedFormOracle(problem, [0, 1, 2])
    calls: list[tuple[Callable[[], Any], SampleCounts]] = [
        (lambda: oracle.upper_gradient(x, y, 3), SampleCounts(0, 0, 3)),
        (lambda: oracle.total_gradient(x, y, 4, 6), SampleCounts(6, 6, 4)),
        (lambda: oracle.lower_gradient_change(x, y, x, other, 5), SampleCounts(5, 5, 0)),
        (lambda: oracle.pointwise_penalty_in_upper(x, y, other, 7), SampleCounts(7, 7, 0)),
        (lambda: oracle.pointwise_penalty_in_lower(x, y, other, 8), SampleCounts(8, 8, 0)),
        (lambda: oracle.implicit_gradient(y, 9), SampleCounts(0, 0, 9)),
        (lambda: oracle.implicit_objective_gradient(y, 9), SampleCounts(0, 0, 9)),
        (lambda: oracle.implied_upper(y), SampleCounts()),
    ]
    expected = SampleCounts()
    for call, added in calls:
        call()
        expected += added
        assert oracle.counts == expected
    capped = SampledClosedFormOracle(problem, [0, 1, 2], sample_budget=9)
    with pytest.raises(SampleBudgetExhausted, match=r"sample_budget: 9"):
        capped.upper_gradient(x, y, 10)
    assert capped.counts == SampleCounts()
