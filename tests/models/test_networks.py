"""Networks against a plain forward pass, one replicate and one input at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.model_cases import INPUTS, inputs, normal, parameters_of
from numpy.typing import NDArray

from theory_check.models import LogLinear, MLPPolicy, MLPReward, ModelInputs, Tabular
from theory_check.models.stacked_mlp import ACTIVATIONS, ActivationName, StackedMLP

PLAIN: dict[str, Callable[[float], float]] = {
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "tanh": math.tanh,
}
EVERY_ACTIVATION = pytest.mark.parametrize("activation", list(ACTIVATIONS))
EVERY_INPUT = pytest.mark.parametrize("seen", INPUTS.values(), ids=INPUTS.keys())


def plain_outputs(
    parameters: NDArray[np.float64], x: NDArray[np.float64], sizes: list[int], activation: str
) -> NDArray[np.float64]:
    """Run one network on one input; a layer's weights (fan in, fan out) stand before its biases."""
    position = 0
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        if layer:
            x = np.array([PLAIN[activation](float(value)) for value in x])
        weights = parameters[position : position + fan_in * fan_out].reshape(fan_in, fan_out)
        position += fan_in * fan_out
        x = x @ weights + parameters[position : position + fan_out]
        position += fan_out
    assert position == len(parameters)
    return x


@EVERY_ACTIVATION
@pytest.mark.parametrize("depth", [1, 2, 3])
@EVERY_INPUT
def test_mlp_reward_is_a_plain_network(
    activation: ActivationName, depth: int, seen: ModelInputs
) -> None:
    model = MLPReward(width=5, depth=depth, activation=activation).bind(seen)
    phi = parameters_of(model, 3)
    table = model.table(phi)
    states, actions = table.shape[1:]
    sizes = [seen.observations.shape[1], *[5] * depth, actions]
    for r in range(3):
        for s in range(states):
            x = seen.observations[s].numpy()
            expected = plain_outputs(phi[r].numpy(), x, sizes, activation)
            np.testing.assert_allclose(table[r, s].numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@EVERY_ACTIVATION
@pytest.mark.parametrize("depth", [1, 2, 3])
@EVERY_INPUT
def test_mlp_policy_is_a_plain_network_on_top_of_the_reference(
    activation: ActivationName, depth: int, seen: ModelInputs
) -> None:
    model = MLPPolicy(width=5, depth=depth, activation=activation).bind(seen)
    parameters = parameters_of(model, 3)
    policy = model.table(parameters).exp().numpy()
    steps, states, actions = policy.shape[1:]
    told = steps if steps > 1 else 0  # a policy with one step is not told the step
    sizes = [seen.observations.shape[1] + told, *[5] * depth, actions]
    for r in range(3):
        for h in range(steps):
            for s in range(states):
                x = np.concatenate([seen.observations[s].numpy(), np.eye(steps)[h][:told]])
                outputs = plain_outputs(parameters[r].numpy(), x, sizes, activation)
                odds = seen.log_reference[h, s].exp().numpy() * np.exp(outputs)
                np.testing.assert_allclose(policy[r, h, s], odds / odds.sum(), rtol=1e-12)


@EVERY_INPUT
def test_log_linear_policies(seen: ModelInputs) -> None:
    """``pi_h(a|s) ∝ pi_ref exp(w_{h, a} . x(s))``, weights of shape (steps, observation, actions)."""
    model = LogLinear().bind(seen)
    steps, states, actions = seen.log_reference.shape
    weights = parameters_of(model, 2)
    assert model.parameters == steps * seen.observations.shape[1] * actions
    policy = model.table(weights).exp().numpy()
    for r in range(2):
        cut = weights[r].numpy().reshape(steps, -1, actions)
        for h in range(steps):
            for s in range(states):
                odds = seen.log_reference[h, s].exp().numpy()
                odds = odds * np.exp(seen.observations[s].numpy() @ cut[h])
                np.testing.assert_allclose(policy[r, h, s], odds / odds.sum(), rtol=1e-12)


def test_log_linear_of_indicators_is_the_tabular_class() -> None:
    seen = inputs(steps=3, observation=None)
    linear, tabular = LogLinear().bind(seen), Tabular().bind(seen)
    assert linear.parameters == tabular.parameters
    weights = parameters_of(linear, 2)
    logits = weights + seen.log_reference.reshape(1, -1)
    torch.testing.assert_close(linear.table(weights), tabular.table(logits))
    cotangent = normal("cotangent", 2, 3, 4, 3)
    torch.testing.assert_close(
        linear.pullback(weights, cotangent), tabular.pullback(logits, cotangent)
    )


@pytest.mark.parametrize("activation", ["gelu", "silu", "softplus", "tanh", "sigmoid"])
def test_far_from_zero_activations_are_exact(activation: ActivationName) -> None:
    """Relative to the size of the argument, also where a library would switch to an asymptote."""
    x = torch.linspace(-60, 60, 1201, dtype=torch.float64)
    expected = torch.tensor([PLAIN[activation](float(each)) for each in x], dtype=torch.float64)
    found = ACTIVATIONS[activation].value(x)
    assert float(((found - expected).abs() / x.abs().clamp(min=1.0)).max()) < 1e-15
    # Truncation 2e-11 times a third derivative below 2, rounding 60 * 1e-16 / 1e-5 = 6e-10.
    step = 1e-5
    plain = PLAIN[activation]
    rises = [(plain(value + step) - plain(value - step)) / (2 * step) for value in x.tolist()]
    pulled = ACTIVATIONS[activation].pullback(torch.ones_like(x), x, found)
    slope = torch.tensor(rises, dtype=torch.float64)
    torch.testing.assert_close(pulled, slope, rtol=0, atol=1e-9)


def test_mlp_start_has_the_deviations_of_its_documentation() -> None:
    """At noise 1, the start is the deviations: 1 / sqrt(fan in), biases included but the last."""
    seen = inputs(observation=2)  # 2 inputs, 3 outputs
    start = MLPReward(width=4, depth=2, weight_scale=3.0).bind(seen).initial(torch.ones(1, 47))[0]
    expected = [3 / math.sqrt(2)] * 12 + [3 / 2] * 20 + [3 / 2] * 12 + [0.0] * 3
    torch.testing.assert_close(start, torch.tensor(expected, dtype=torch.float64))
    model = MLPPolicy(width=4, depth=2, weight_scale=3.0, output_scale=0.5).bind(seen)
    start = model.initial(torch.ones(1, 47))[0]
    expected = [3 / math.sqrt(2)] * 12 + [3 / 2] * 20 + [0.25] * 12 + [0.0] * 3
    torch.testing.assert_close(start, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.slow
def test_initial_rewards_do_not_grow_with_width() -> None:
    """Variance of an output: 1/width times the sum over units of E[tanh²] < 1, whatever the width.

    4000 networks estimate a variance to 2.3 % (one deviation); a factor 1.25 between widths 8 and
    512 is below 8 deviations of the true ratio only if the scaling is wrong: that ratio is between
    1 and 1.05, since units are independent given the layer before. False alarm below 1e-4.
    """
    seen = inputs(states=3, observation=2)
    variances = []
    for width in (8, 512):
        model = MLPReward(width=width).bind(seen)
        noise = normal("start", 4000, model.parameters)
        variances.append(model.table(model.initial(noise)).var(0).mean().item())
    assert 0.8 < variances[0] / variances[1] < 1.25


@pytest.mark.parametrize("replicates", [1, 3])
def test_outputs_do_not_share_memory_with_the_parameters(replicates: int) -> None:
    """Also where a linear map of indicators returns the weights themselves."""
    network = StackedMLP(torch.eye(4, dtype=torch.float64), (), 3, biased=False)
    parameters = normal("weights", replicates, 12)
    kept = parameters.clone()
    outputs = network.forward(parameters)
    assert torch.equal(outputs.flatten(1), kept)
    outputs.zero_()
    assert torch.equal(parameters, kept)
