"""What a step costs: against the number of replicates and against the batch size.

Run with ``make benchmark``; groups put the figures that belong together side by side. In an ordinary
test run each case executes once and checks that the step did its work.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from theory_check.bilevel import Coupling
from theory_check.catalogue import installed
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.starts import initial_upper
from theory_check.problems import Problem
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

PROBLEMS = {
    "bandit 4x3": {"family": "bandit", "contexts": 4, "actions": 3, "features": 4},
    "garnet 3x2, horizon 2": {
        "family": "garnet",
        "states": 3,
        "actions": 2,
        "horizon": 2,
        "features": 4,
    },
    "garnet 3x2, horizon 3": {
        "family": "garnet",
        "states": 3,
        "actions": 2,
        "horizon": 3,
        "features": 4,
    },
    "garnet 4x2, discount 0.8": {
        "family": "garnet",
        "states": 4,
        "actions": 2,
        "horizon": None,
        "discount": 0.8,
        "features": 4,
    },
}


def build(label: str) -> Problem:
    arguments = dict(PROBLEMS[label])
    return installed().families[arguments.pop("family")](**arguments)


def time_step(
    benchmark: BenchmarkFixture,
    problem: Problem,
    replicates: int,
    samples: int,
    coupling: Coupling = "independent",
) -> None:
    solver = PenaltyBilevel(
        sigma=0.1,
        inner_steps=5,
        inner_step_size=0.5,
        step_size=0.1,
        trajectories=samples,
        pairs=samples,
        coupling=coupling,
    )
    oracle = SampledOracle(problem, range(replicates))
    upper = initial_upper(range(replicates), problem.parameters, 1.0)
    lower = oracle.policy_model.initial(torch.zeros(replicates, oracle.policy_model.parameters))
    state = solver.step(oracle, solver.init(upper, lower))
    before = oracle.counts
    result = benchmark(solver.step, oracle, state)
    assert result.next_upper.shape == (replicates, problem.parameters)
    assert bool(torch.isfinite(result.next_upper).all())
    assert oracle.counts.samples > before.samples


@pytest.mark.slow
@pytest.mark.parametrize("label", PROBLEMS)
@pytest.mark.parametrize("replicates", [1, 32])
@pytest.mark.parametrize("samples", [10**3, 10**9])
@pytest.mark.benchmark(min_rounds=20)
def test_replicates(benchmark: BenchmarkFixture, label: str, replicates: int, samples: int) -> None:
    benchmark.group = f"replicates, {label}, n = {samples:.0e}"
    time_step(benchmark, build(label), replicates, samples)


@pytest.mark.slow
@pytest.mark.parametrize("label", PROBLEMS)
@pytest.mark.parametrize("samples", [10**4, 10**9])
@pytest.mark.benchmark(min_rounds=20)
def test_batch_size(benchmark: BenchmarkFixture, label: str, samples: int) -> None:
    benchmark.group = f"batch size, {label}"
    time_step(benchmark, build(label), replicates=16, samples=samples)


@pytest.mark.parametrize("samples", [10**2, 10**4])
@pytest.mark.benchmark(min_rounds=5)
def test_shared_batches_without_a_horizon(benchmark: BenchmarkFixture, samples: int) -> None:
    benchmark.group = "shared batches, garnet 4x2, discount 0.8"
    problem = build("garnet 4x2, discount 0.8")
    time_step(benchmark, problem, replicates=16, samples=samples, coupling="shared")
