"""Policies given by a multilayer perceptron of a state's observation and the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import require_table
from theory_check.models.base import ModelInputs, PolicyClass
from theory_check.models.network_policy import NetworkPolicy
from theory_check.models.stacked_mlp import (
    ActivationName,
    StackedMLP,
    require_network,
)
from theory_check.settings import NonNegative, PositiveInteger, Scale


@dataclass(frozen=True)
class MLPPolicy(PolicyClass):
    """Softmax policies of a multilayer perceptron: observation and step in, one logit per action.

    Logits are added to those of the reference policy. The step enters as an indicator, and only
    where there are several.

    Parameters
    ----------
    width
        Units of every hidden layer.
    depth
        Number of hidden layers, at least 1.
    activation
        ``"tanh"``, ``"gelu"``, ``"silu"``, ``"softplus"``, ``"sigmoid"`` or ``"relu"``. The theory
        takes second derivatives in the policy's parameters, which ``"relu"`` does not have
        everywhere.
    weight_scale
        Hidden layers start at weights and biases of standard deviation ``weight_scale / sqrt(fan
        in)``.
    output_scale
        The output layer starts at weights of standard deviation ``output_scale / sqrt(width)`` and
        biases of 0; with 0, runs start at the reference policy.

    Raises
    ------
    InvalidArgumentError
        Naming the setting, its value and the remedy.
    """

    name: ClassVar[str] = "mlp"

    width: PositiveInteger = 16
    depth: PositiveInteger = 1
    activation: ActivationName = "tanh"
    weight_scale: Scale = 1.0
    output_scale: NonNegative = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        super().__post_init__()
        require_network(self.width, self.depth)

    def bind(self, inputs: ModelInputs) -> NetworkPolicy:
        """Return the model of this class on a problem's steps, states and actions."""
        reference = inputs.log_reference
        rows = _observation_and_step(inputs.observations, reference.shape[0])
        hidden = (self.width,) * self.depth
        network = StackedMLP(rows, hidden, reference.shape[-1], self.activation)
        return NetworkPolicy(network, reference, self.weight_scale, self.output_scale)


def _observation_and_step(
    observations: Float[Tensor, "s observation"], steps: int
) -> Float[Tensor, "row input"]:
    """Return one row per step and state: its observation, then an indicator of the step."""
    if steps == 1:
        return observations
    states, seen = observations.shape
    require_table("horizon", steps, steps * states * (seen + steps))
    indicator = torch.eye(steps, dtype=observations.dtype, device=observations.device)
    return torch.cat([observations.repeat(steps, 1), indicator.repeat_interleave(states, 0)], dim=1)
