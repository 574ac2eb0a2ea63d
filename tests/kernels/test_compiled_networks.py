"""Compiled networks against those of the models, and their hyperbolic tangent against the library's."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from theory_check.kernels.networks import (
    ACTIVATIONS,
    Networks,
    add_network_pullback,
    add_outputs,
    signals_of,
    tanh,
)
from theory_check.models.stacked_mlp import ActivationName, StackedMLP


def both(
    hidden: tuple[int, ...], activation: ActivationName, biased: bool
) -> tuple[StackedMLP, Networks]:
    inputs = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 3)))
    sizes = np.array([3, *hidden, 2])
    place = ACTIVATIONS.index(activation)
    plain = Networks(inputs.numpy(), sizes, biased, place)
    return StackedMLP(inputs, hidden, 2, activation, biased), plain


@pytest.mark.parametrize("scale", [0.3, 30.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("hidden", [(), (5,), (1, 6), (4, 2, 3)])
def test_outputs_and_pullbacks_are_those_of_the_models(
    hidden: tuple[int, ...], activation: ActivationName, biased: bool, scale: float
) -> None:
    stacked, plain = both(hidden, activation, biased)
    generator = np.random.default_rng(2)
    parameters = scale * generator.standard_normal((3, stacked.parameters))
    cotangents = generator.standard_normal((3, 8))
    given = torch.from_numpy(parameters)
    signals = signals_of(plain, parameters)
    outputs = np.ones((3, 8))
    add_outputs(plain, signals, outputs)
    expected = stacked.forward(given).flatten(1).numpy()
    np.testing.assert_allclose(outputs - 1, expected, rtol=1e-12, atol=1e-12 * scale)
    moved = parameters.copy()
    add_network_pullback(plain, signals, cotangents, 0.5, moved)
    slopes = stacked.pullback(given, torch.from_numpy(cotangents).reshape(3, 4, 2)).numpy()
    size = np.abs(parameters).max() + np.abs(slopes).max()
    np.testing.assert_allclose(moved, parameters + 0.5 * slopes, rtol=0, atol=1e-14 * size)


def test_every_activation_has_its_number() -> None:
    assert sorted(ACTIVATIONS) == sorted(get_args(ActivationName))


def test_the_hyperbolic_tangent_is_that_of_the_library() -> None:
    generator = np.random.default_rng(3)
    scales = 10.0 ** np.arange(-9, 3)
    values = np.concatenate([generator.standard_normal(2000) * scale for scale in scales])
    edges = [0.0, -0.0, 0.625, -0.625, 20.0, -20.0, 1e300, -np.inf, np.inf]
    values = np.concatenate([values, edges])
    found = np.array([tanh(value) for value in values])
    np.testing.assert_allclose(found, np.tanh(values), rtol=5e-16, atol=0)
    assert (found == -np.array([tanh(-value) for value in values])).all()
    assert np.isnan(tanh(np.nan))


def test_what_is_not_finite_spoils_no_other_network() -> None:
    stacked, plain = both((5,), "tanh", True)
    parameters = np.random.default_rng(4).standard_normal((3, stacked.parameters))
    sound = parameters.copy()
    spoilt = parameters.copy()
    spoilt[1, 0] = np.nan
    for points in (sound, spoilt):
        add_network_pullback(plain, signals_of(plain, points), np.ones((3, 8)), 0.5, points)
    assert np.isnan(spoilt[1]).any()
    assert (spoilt[[0, 2]] == sound[[0, 2]]).all()
