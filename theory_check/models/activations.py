"""Activations of hidden layers, with their pullbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ActivationName = Literal["gelu", "relu", "sigmoid", "silu", "softplus", "tanh"]

_SOFTPLUS_THRESHOLD = 40.0
"""From here on softplus is the identity in float64; torch's own threshold of 20 is wrong by 2e-9."""


@dataclass(frozen=True)
class Activation:
    """A function of one number and its pullback, elementwise.

    Attributes
    ----------
    value
        ``x -> f(x)``.
    pullback
        ``(cotangent, x, f(x)) -> cotangent f'(x)``.
    """

    value: Callable[[Tensor], Tensor]
    pullback: Callable[[Tensor, Tensor, Tensor], Tensor]


# One fused kernel each: the pullback of automatic differentiation, without its graph.
_backward = torch.ops.aten

ACTIVATIONS: dict[ActivationName, Activation] = {
    "gelu": Activation(functional.gelu, lambda c, x, _: _backward.gelu_backward(c, x)),
    "relu": Activation(torch.relu, lambda c, _, y: _backward.threshold_backward(c, y, 0)),
    "sigmoid": Activation(torch.sigmoid, lambda c, _, y: _backward.sigmoid_backward(c, y)),
    "silu": Activation(functional.silu, lambda c, x, _: _backward.silu_backward(c, x)),
    "softplus": Activation(
        lambda x: functional.softplus(x, threshold=_SOFTPLUS_THRESHOLD),
        lambda c, x, _: _backward.softplus_backward(c, x, 1, _SOFTPLUS_THRESHOLD),
    ),
    "tanh": Activation(torch.tanh, lambda c, _, y: _backward.tanh_backward(c, y)),
}
"""By name. All but ``relu`` are infinitely differentiable."""
