"""Softmax policies whose logits are the reference's plus the outputs of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models.stacked_mlp import StackedMLP


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
        return torch.log_softmax(self._logits(parameters), dim=-1)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * table(parameters))``."""
        policy = torch.softmax(self._logits(parameters), dim=-1)
        total = cotangent.sum(-1, keepdim=True)
        in_outputs = torch.addcmul(cotangent, policy, total, value=-1)
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
    def _deviations(self) -> Float[Tensor, " parameter"]:
        return self.network.deviations(self.weight_scale, self.output_scale)
