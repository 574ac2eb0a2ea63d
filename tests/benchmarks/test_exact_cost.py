"""What exact quantities cost; run with ``make benchmark``."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from theory_check.catalogue import installed
from theory_check.oracles.exact import ExactOracle


def points(number: int, parameters: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(number, parameters, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
@pytest.mark.parametrize("quantity", ["hypergradient", "penalised_gradient"])
def test_exact_quantity(benchmark: BenchmarkFixture, horizon: int, quantity: str) -> None:
    problem = installed().families["garnet"](states=3, actions=2, horizon=horizon, features=4)
    exact = ExactOracle(problem)
    benchmark.group = f"exact {quantity}, garnet 3x2, 16 points"
    phi = points(16, 4)
    arguments = (phi,) if quantity == "hypergradient" else (phi, 0.05)
    gradient = benchmark(getattr(exact, quantity), *arguments)
    assert gradient.shape == (16, 4)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])
@pytest.mark.parametrize(
    ("states", "batch"), [(50, 1), (100, 1), (200, 1), (500, 1), (50, 32), (500, 32)]
)
@pytest.mark.benchmark(min_rounds=5)
def test_discounted_hypergradient(
    benchmark: BenchmarkFixture, states: int, batch: int, objective: str
) -> None:
    if benchmark.disabled and states * batch > 500:
        pytest.skip("covers no code that the smaller cases do not; seconds a call")
    problem = installed().families["garnet"](
        states=states,
        actions=5,
        horizon=None,
        discount=0.95,
        features=8,
        branching=5,
        objective=objective,
    )
    exact = ExactOracle(problem)
    benchmark.group = f"discounted hypergradient, A = 5, {batch} points"
    gradient = benchmark(exact.hypergradient, points(batch, 8))
    assert gradient.shape == (batch, 8)
    assert bool(torch.isfinite(gradient).all())
