"""Outputs of networks, their Jacobians, and larger networks that compute what smaller ones do."""

from __future__ import annotations

import pytest
import torch
from helpers.model_cases import normal, sequences
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models import MLPPolicy, Tabular, TransformerPolicy, TransformerReward
from theory_check.models.output_networks import TransformerOutputs, outputs_of
from theory_check.models.sizes import of_size

SEEN = sequences(prompts=2, vocabulary=3, length=3)
CLASSES = pytest.mark.parametrize("named", [TransformerPolicy, TransformerReward])


def networks(
    named: type[TransformerPolicy | TransformerReward], layers: int, width: int, seed: int
) -> tuple[TransformerOutputs, Tensor]:
    """Return networks of one size, and parameters away from the start of two of them."""
    outputs = outputs_of(named(layers=layers, width=width).bind(SEEN))
    assert isinstance(outputs, TransformerOutputs)
    return outputs, normal(seed, 2, outputs.network.parameters)


@pytest.mark.slow
@CLASSES
@pytest.mark.parametrize(("layers", "width"), [(3, 4), (2, 8)], ids=["deeper", "wider"])
def test_a_grown_transformer_computes_the_same_and_can_use_what_is_new(
    named: type[TransformerPolicy | TransformerReward], layers: int, width: int
) -> None:
    small, parameters = networks(named, 2, 4, 0)
    large, fresh = networks(named, layers, width, 1)
    grown = large.grown(small, parameters, fresh)
    torch.testing.assert_close(large.forward(grown), small.forward(parameters))
    # Copies of units have gradients of their own: a step leaves the networks of the smaller size.
    slope = large.network.cut(large.jacobian(grown).flatten(1, 2).sum(1))
    copies = slope["embedding"][:, :, ::2], slope["embedding"][:, :, 1::2]
    assert width == 4 or bool((copies[0] != copies[1]).any())
    new = slope[f"{layers - 1}.back"] if layers > 2 else slope["0.back"][:, 4 * 4 :]
    assert bool((new.abs() > 1e-8).any())


@CLASSES
def test_a_size_that_contains_no_other_is_refused(
    named: type[TransformerPolicy | TransformerReward],
) -> None:
    small, parameters = networks(named, 2, 4, 0)
    for layers, width, argument in ((2, 6, "wide"), (3, 8, "wide"), (1, 4, "deep")):
        large, fresh = networks(named, layers, width, 1)
        with pytest.raises(InvalidArgumentError, match=rf"^{argument}: received {layers} layers"):
            large.grown(small, parameters, fresh)


@CLASSES
def test_the_jacobian_is_the_slope_of_outputs(
    named: type[TransformerPolicy | TransformerReward],
) -> None:
    outputs, parameters = networks(named, 1, 4, 0)
    direction, step = normal(3, *parameters.shape), 1e-6  # truncation 1e-12, rounding 1e-10
    ahead, behind = (outputs.forward(parameters + sign * step * direction) for sign in (1, -1))
    found = (outputs.jacobian(parameters) @ direction[:, None, :, None]).squeeze(-1)
    torch.testing.assert_close(found, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


@CLASSES
def test_no_replicates_are_left_when_all_have_converged(
    named: type[TransformerPolicy | TransformerReward],
) -> None:
    outputs, parameters = networks(named, 1, 4, 0)
    for some in (outputs.forward, outputs.jacobian):
        assert some(parameters[:0]).shape == (0, *some(parameters).shape[1:])


def test_a_model_without_networks_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^model: received TabularSoftmax"):
        outputs_of(Tabular().bind(SEEN))


def test_a_class_gets_another_size_or_says_what_it_has_not() -> None:
    assert of_size(MLPPolicy(activation="gelu"), width=3) == MLPPolicy(width=3, activation="gelu")
    with pytest.raises(InvalidArgumentError, match=r"^layers: received 2; leave it out: .*'depth'"):
        of_size(MLPPolicy(), layers=2)
