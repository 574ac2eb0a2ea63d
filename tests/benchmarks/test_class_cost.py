"""What neural classes cost: a step against tabular ones, and a hand-written pullback against a graph.

Run with ``make benchmark``; groups put the figures that belong together side by side. In an ordinary
test run each case executes once and checks that the work was done.
"""

from typing import get_args

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from theory_check.bilevel import Coupling
from theory_check.models import MLPPolicy, MLPReward
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.starts import initial_policy, initial_reward
from theory_check.problems import bandit, garnet
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

REPLICATES = 16
PROBLEMS = {
    "bandit 4x3": bandit(contexts=4, actions=3, features=4),
    "garnet 3x2, horizon 2": garnet(states=3, actions=2, horizon=2, features=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("classes", ["tabular", "neural"])
@pytest.mark.parametrize("coupling", get_args(Coupling))
@pytest.mark.parametrize("label", PROBLEMS)
@pytest.mark.benchmark(min_rounds=50)
def test_step(benchmark: BenchmarkFixture, label: str, coupling: Coupling, classes: str) -> None:
    problem = PROBLEMS[label]
    if classes == "neural":
        problem = problem.with_classes(reward=MLPReward(width=16), policy=MLPPolicy(width=16))
    benchmark.group = f"classes, {label}, {coupling}"
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=5,
        inner_step_size=0.5,
        step_size=0.1,
        trajectories=10**4,
        pairs=10**4,
        coupling=coupling,
    )
    oracle = SampledOracle(problem, range(REPLICATES))
    upper = initial_reward(range(REPLICATES), oracle.reward_model, 1.0)
    lower = initial_policy(range(REPLICATES), oracle.policy_model)
    state = solver.step(oracle, solver.init(upper, lower))
    result = benchmark(solver.step, oracle, state)
    assert not torch.equal(result.next_upper, state.next_upper)
    assert bool(torch.isfinite(result.next_upper).all())


@pytest.mark.slow
@pytest.mark.parametrize("derivative", ["by hand", "autograd"])
@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("states", [12, 100])
@pytest.mark.benchmark(min_rounds=50)
def test_pullback(benchmark: BenchmarkFixture, states: int, width: int, derivative: str) -> None:
    """Forward pass and pullback of 32 networks with 10 inputs and 3 outputs."""
    benchmark.group = f"pullback, {states} states, width {width}"
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    network = StackedMLP(draw(states, 10), (width,), 3)
    parameters, cotangent = draw(32, network.parameters), draw(32, states, 3)

    def by_hand() -> torch.Tensor:
        fresh = parameters.view_as(parameters)  # so that no pass is remembered
        network.forward(fresh)
        return network.pullback(fresh, cotangent)

    def by_graph() -> torch.Tensor:
        leaf = parameters.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(network.forward(leaf), leaf, cotangent)
        return gradient

    found = benchmark(by_hand if derivative == "by hand" else by_graph)
    torch.testing.assert_close(found, by_hand(), rtol=1e-11, atol=1e-12)
