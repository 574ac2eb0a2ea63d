"""Softmax policies whose logits are the reference's plus the outputs of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models.base import absent_actions, log_policy_of, pull_back_to_logits
from theory_check.models.stacked_mlp import ACTIVATIONS, StackedMLP


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """``log pi_h(a|s)`` = log-softmax over a of ``log pi_ref_h(a|s) + output a at (s, h)``.

    Parameters
    ----------
    network
        The networks of all replicates: input rows in the order (step, state), an output per action.
    log_reference
        ``log pi_ref``, shape (steps, states, actions).
    weight_scale, output_scale
        Initial scale of hidden layers and of the output layer; with 0 for the output layer runs
        start at the reference policy.
    """

    network: StackedMLP
    log_reference: Float[Tensor, "h s a"]
    weight_scale: float
    output_scale: float

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.network.parameters

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the normalised log-probabilities of every step, state and action."""
        return log_policy_of(self._logits(parameters), self._absent)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * table(parameters))``."""
        in_outputs = pull_back_to_logits(self._logits(parameters), cotangent, self._absent)
        return self.network.pullback(parameters, in_outputs.flatten(1, 2))

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return ``noise`` times the deviation of every parameter."""
        return noise.to(self._deviations) * self._deviations

    def _logits(self, parameters: Tensor) -> Float[Tensor, "replicate h s a"]:
        outputs = self.network.forward(parameters).reshape(-1, *self.log_reference.shape)
        return outputs + self.log_reference

    @cached_property
    def _absent(self) -> Bool[Tensor, "h s a"] | None:
        return absent_actions(self.log_reference)

    @cached_property
    def _deviations(self) -> Float[Tensor, " parameter"]:
        return self.network.deviations(self.weight_scale, self.output_scale)


def output_jacobian(
    network: StackedMLP, parameters: Float[Tensor, "replicate parameter"]
) -> Float[Tensor, "replicate row output parameter"]:
    """Return the derivative of every output on every row of the inputs.

    A row's outputs depend on that row alone, so one backward pass with an indicator cotangent for
    every output costs ``outputs`` pullbacks rather than ``rows * outputs``.

    Parameters
    ----------
    network
        The networks.
    parameters
        One network per replicate, shape (replicate, parameter).
    """
    activation = ACTIVATIONS[network.activation]
    replicates = parameters.shape[0]
    weights = [
        parameters[:, layer.start : layer.biases].reshape(-1, layer.fan_in, layer.fan_out)
        for layer in network.layers
    ]
    signals = [network.inputs.expand(replicates, -1, -1)]
    slopes: list[Tensor] = []
    for layer, matrix in zip(network.layers[:-1], weights[:-1], strict=True):
        before = signals[-1] @ matrix
        if layer.biased:
            before = before + parameters[:, None, layer.biases : layer.end]
        after = activation.value(before)
        slopes.append(activation.pullback(torch.ones_like(before), before, after))
        signals.append(after)
    rows, outputs = network.inputs.shape[0], network.outputs
    # cotangent[..., o, k]: derivative of output o in what layer k of the loop adds up to.
    cotangent = torch.eye(outputs, dtype=parameters.dtype, device=parameters.device)
    cotangent = cotangent.expand(replicates, rows, outputs, outputs)
    pieces: list[Tensor] = []
    for position in range(len(network.layers) - 1, -1, -1):
        if network.layers[position].biased:
            pieces.append(cotangent)
        in_weights = signals[position][:, :, None, :, None] * cotangent[:, :, :, None, :]
        pieces.append(in_weights.flatten(3))
        if position:
            back = cotangent @ weights[position].mT[:, None]
            cotangent = back * slopes[position - 1][:, :, None]
    return torch.cat(pieces[::-1], dim=-1)


def widened(
    narrow: StackedMLP,
    wide: StackedMLP,
    parameters: Float[Tensor, "replicate narrow"],
    fresh: Float[Tensor, "replicate wide"],
) -> Float[Tensor, "replicate wide"]:
    """Return wide networks that compute exactly what the narrow ones do.

    The new units take their incoming weights from ``fresh`` and have no outgoing ones.

    Parameters
    ----------
    narrow, wide
        Networks with one hidden layer, equal but for its width.
    parameters
        Those of the narrow networks, shape (replicate, narrow parameters).
    fresh
        Parameters of wide networks, shape (replicate, wide parameters).

    Raises
    ------
    InvalidArgumentError
        If the second network does not contain the first in this way.
    """
    shapes = [[(layer.fan_in, layer.fan_out) for layer in net.layers] for net in (narrow, wide)]
    (inputs, before), (*_, outputs) = shapes[0][0], shapes[0][-1]
    after = shapes[1][0][1]
    contained = (
        shapes[0] == [(inputs, before), (before, outputs)]
        and shapes[1] == [(inputs, after), (after, outputs)]
        and before <= after
        and narrow.biased == wide.biased
        and narrow.activation == wide.activation
    )
    if not contained:
        raise InvalidArgumentError(
            "wide",
            f"layers {shapes[1]} for a narrow network with layers {shapes[0]}",
            "pass networks with one hidden layer that differ in its width only",
        )
    grown = fresh.clone()
    inner, outer = wide.layers
    inner_weights = grown[:, inner.start : inner.biases].view(-1, inputs, after)
    outer_weights = grown[:, outer.start : outer.biases].view(-1, after, outputs)
    old_inner, old_outer = narrow.layers
    inner_weights[:, :, :before] = parameters[:, old_inner.start : old_inner.biases].reshape(
        -1, inputs, before
    )
    outer_weights[:, :before] = parameters[:, old_outer.start : old_outer.biases].reshape(
        -1, before, outputs
    )
    outer_weights[:, before:] = 0.0
    if narrow.biased:
        old = parameters[:, old_inner.biases : old_inner.end]
        grown[:, inner.biases : inner.biases + before] = old
        grown[:, outer.biases : outer.end] = parameters[:, old_outer.biases : old_outer.end]
    return grown
