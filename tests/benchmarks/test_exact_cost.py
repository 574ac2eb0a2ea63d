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


LARGE = {
    "garnet, 100 states, 4 actions, 50 steps, dense": (
        "garnet",
        {"states": 100, "actions": 4, "branching": 100, "horizon": 50, "features": 20},
    ),
    "four rooms, 100 steps": ("gridworld", {"map": "four-rooms", "horizon": 100, "discount": 1.0}),
    "garnet, 50 states, 3 actions, 20 steps": (
        "garnet",
        {"states": 50, "actions": 3, "horizon": 20, "features": 10},
    ),
    "bandit, 10^5 actions": ("bandit", {"contexts": 1, "actions": 100_000, "features": 8}),
    "bandit, 10^6 actions": ("bandit", {"contexts": 1, "actions": 1_000_000, "features": 2}),
    "discounted, 2000 states, 5 actions": (
        "garnet",
        {
            "states": 2000,
            "actions": 5,
            "branching": 4,
            "horizon": None,
            "discount": 0.9,
            "features": 1,
            "observations": 1,
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("label", LARGE)
@pytest.mark.benchmark(min_rounds=3)
def test_hypergradient_without_enumeration(benchmark: BenchmarkFixture, label: str) -> None:
    family, sizes = LARGE[label]
    if benchmark.disabled and label != "garnet, 50 states, 3 actions, 20 steps":
        pytest.skip("covers no code that the smallest case does not; up to a second a call")
    exact = ExactOracle(installed().families[family](**sizes))
    benchmark.group = "hypergradient without enumeration"
    phi = 0.5 * points(1, exact.reward_model.parameters)
    gradient = benchmark(exact.hypergradient, phi)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient != 0).any())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pairs", "steps"])
@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 5])
@pytest.mark.benchmark(min_rounds=3)
def test_both_ways_against_the_horizon(benchmark: BenchmarkFixture, way: str, horizon: int) -> None:
    if benchmark.disabled and horizon > 3:
        pytest.skip("covers no code that the smaller cases do not")
    problem = installed().families["garnet"](states=3, actions=2, horizon=horizon, features=4)
    exact = ExactOracle(problem, way=way, enumeration_budget=20_000)  # type: ignore[arg-type]
    benchmark.group = f"hypergradient over pairs and over steps, horizon {horizon}"
    gradient = benchmark(exact.hypergradient, points(1, 4))
    assert bool(torch.isfinite(gradient).all())
