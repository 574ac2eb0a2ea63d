from __future__ import annotations

import pytest
import torch

from theory_check.models import LinearReward, PolicyModel, RewardModel, TabularSoftmax


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).double()


def check_pullback(model: RewardModel | PolicyModel, parameters: torch.Tensor) -> None:
    """Compare with automatic differentiation through the model's own table."""
    leaf = parameters.clone().requires_grad_()
    table = model.table(leaf)
    cotangent = draw(*table.shape)
    (table * cotangent).sum().backward()
    found = model.pullback(parameters, cotangent)
    assert leaf.grad is not None
    torch.testing.assert_close(found, leaf.grad, rtol=1e-12, atol=1e-13)


def test_linear_reward() -> None:
    features, phi = draw(3, 2, 4), draw(5, 4)
    model = LinearReward(features)
    assert model.parameters == 4
    for r in range(5):
        for s in range(3):
            for a in range(2):
                expected = sum(phi[r, d] * features[s, a, d] for d in range(4))
                assert model.table(phi)[r, s, a].item() == pytest.approx(expected.item())
    check_pullback(model, phi)


def test_tabular_softmax() -> None:
    model, logits = TabularSoftmax(draw(2, 3, 4)), draw(5, 24)
    assert model.parameters == 24
    table = model.table(logits)
    for h in range(2):
        for s in range(3):
            row = logits[1, (h * 3 + s) * 4 : (h * 3 + s + 1) * 4].exp()
            torch.testing.assert_close(table[1, h, s].exp(), row / row.sum())
    check_pullback(model, logits)


def test_initial_parameters_represent_the_policy() -> None:
    log_policy = draw(2, 3, 4).log_softmax(-1)
    model = TabularSoftmax(log_policy)
    found = model.table(model.initial(draw(3, 24)))
    torch.testing.assert_close(found, log_policy.expand(3, 2, 3, 4))
    first = model.initial(draw(2, 24))
    first[0] += 1  # replicates own their parameters
    assert torch.equal(first[1], model.initial(draw(1, 24))[0])
