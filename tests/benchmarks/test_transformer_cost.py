"""What transformers cost: tables against a perceptron's, and rows by the batch, not by the tree.

Run with ``make benchmark``; in an ordinary test run each case executes once and checks that the work was
done.
"""

import pytest
import torch
from helpers.model_cases import normal, parameters_of, sequences
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from theory_check.models import MLPPolicy, MLPReward, TransformerPolicy, TransformerReward

REPLICATES, BATCH = 16, 64

CLASSES = {
    "perceptron": MLPPolicy(width=16),
    "transformer": TransformerPolicy(width=16),
    "perceptron reward": MLPReward(width=16),
    "transformer reward": TransformerReward(width=16),
}


@pytest.mark.slow
@pytest.mark.parametrize("derivative", ["by hand", "autograd"])
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(("vocabulary", "length"), [(4, 3), (4, 5)])
def test_table_and_pullback(
    benchmark: BenchmarkFixture, vocabulary: int, length: int, name: str, derivative: str
) -> None:
    """Of two prompts, all prefixes of all sequences."""
    benchmark.group = f"tables of {vocabulary} tokens, length {length}"
    model = CLASSES[name].bind(sequences(2, vocabulary, length))
    parameters = parameters_of(model, REPLICATES)
    cotangent = normal("cotangent", *model.table(parameters).shape)

    def by_hand() -> Tensor:
        fresh = parameters.view_as(parameters)  # so that no pass is remembered
        model.table(fresh)
        return model.pullback(fresh, cotangent)

    def by_graph() -> Tensor:
        leaf = parameters.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model.table(leaf), leaf, cotangent)
        return gradient

    found = benchmark(by_hand if derivative == "by hand" else by_graph)
    torch.testing.assert_close(found, by_hand(), rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["policy", "reward"])
@pytest.mark.parametrize("length", [4, 6, 8])
def test_rows_and_pullback(benchmark: BenchmarkFixture, length: int, kind: str) -> None:
    """Of 64 drawn sequences of 4 tokens: the tree has 2, 32 and 512 times as many longest prefixes.

    The cost grows with the length, a sequence having more tokens, and not with the tree.
    """
    benchmark.group = f"rows of {BATCH} sequences, {kind}"
    chosen = TransformerPolicy() if kind == "policy" else TransformerReward()
    model = chosen.bind(sequences(2, 4, length))
    parameters = parameters_of(model, REPLICATES)
    # Shorter prefixes come first: the longest are the last, 4 ** (length - 1) of them for each prompt.
    longest = 2 * 4 ** (length - 1)
    states = model.read.nodes.shape[0] // (1 if kind == "policy" else 4)
    drawn = torch.randint(
        states - longest, states, (REPLICATES, BATCH), generator=torch.Generator().manual_seed(0)
    )
    index = drawn if kind == "policy" else 4 * drawn
    cotangent = normal("cotangent", *model.rows(parameters, index).shape)

    def both() -> Tensor:
        fresh, named = parameters.view_as(parameters), index.view_as(index)
        model.rows(fresh, named)
        return model.rows_pullback(fresh, named, cotangent)

    found = benchmark(both)
    assert found.shape == parameters.shape
    assert bool((found != 0).any(0).all())
    assert model.read.tree.forest_of(model.read.nodes[index], torch.float64)[0].nodes <= BATCH * (
        length + 1
    )
