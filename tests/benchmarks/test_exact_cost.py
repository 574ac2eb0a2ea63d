"""What exact quantities cost; run with ``make benchmark``."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from theory_check.oracles.exact import ExactOracle
from theory_check.problems import families


@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
@pytest.mark.parametrize("quantity", ["hypergradient", "penalised_gradient"])
def test_exact_quantity(benchmark: BenchmarkFixture, horizon: int, quantity: str) -> None:
    problem = families()["garnet"](states=3, actions=2, horizon=horizon, features=4)
    exact = ExactOracle(problem)
    benchmark.group = f"exact {quantity}, garnet 3x2, 16 points"
    generator = torch.Generator().manual_seed(0)
    phi = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    arguments = (phi,) if quantity == "hypergradient" else (phi, 0.05)
    gradient = benchmark(getattr(exact, quantity), *arguments)
    assert gradient.shape == (16, 4)
    assert bool(torch.isfinite(gradient).all())
