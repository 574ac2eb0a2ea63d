"""What an estimate from 32 texts costs: by whole tables with the tree, by rows with the batch.

Run with ``make benchmark``; in an ordinary test run each case executes once and checks that the work was
done.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from helpers.model_cases import parameters_of
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from theory_check.models import TransformerPolicy, TransformerReward
from theory_check.oracles.estimates.reading import Read
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import sequences

REPLICATES, BATCH, LENGTH = 4, 32, 4


@cache
def both_ways(vocabulary: int) -> dict[Read, SampledOracle]:
    """Return oracles that follow texts by either way, on the same streams."""
    problem = sequences(vocabulary=vocabulary, length=LENGTH).with_classes(
        policy=TransformerPolicy(), reward=TransformerReward()
    )
    steps = ExactOracle(problem, way="steps").upper
    reads: tuple[Read, Read] = ("table", "rows")
    return {
        read: SampledOracle(problem, range(REPLICATES), comparisons=steps, read=read)
        for read in reads
    }


@pytest.mark.slow
@pytest.mark.parametrize("read", ["table", "rows"])
@pytest.mark.parametrize("vocabulary", [4, 6, 9, 13])
@pytest.mark.parametrize("estimate", ["lower gradients", "upper gradients", "penalty difference"])
def test_estimate(benchmark: BenchmarkFixture, estimate: str, vocabulary: int, read: Read) -> None:
    """Of 85, 259, 820 and 2380 prefixes: V^H grows 110-fold."""
    benchmark.group = f"{estimate} from {BATCH} texts by {read}"
    oracle = both_ways(vocabulary)[read]
    upper = parameters_of(oracle.reward_model, REPLICATES)
    lower = parameters_of(oracle.policy_model, REPLICATES)
    other = 0.9 * lower

    def once() -> Tensor:
        phi, policy, penalised = (each.clone() for each in (upper, lower, other))  # none remembered
        if estimate == "lower gradients":
            both = oracle.lower_gradients(phi, policy, penalised, BATCH, "independent")
            return torch.cat([both.at_lower, both.at_penalised])
        if estimate == "upper gradients":
            return torch.cat(tuple(vars(oracle.upper_gradients(phi, policy, BATCH)).values()), 1)
        return oracle.penalty_difference(phi, policy, penalised, BATCH, "shared")

    before = oracle.counts
    found = benchmark(once)
    assert bool(found.isfinite().all())
    assert bool((found != 0).any(1).all())
    assert oracle.counts.samples > before.samples
