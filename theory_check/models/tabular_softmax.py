"""Policies with one free logit per step, state and action."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TabularSoftmax:
    """Tabular softmax policy ``pi_h(a|s) ∝ exp(lambda[h, s, a])``.

    The logits have a null direction per step and state: a constant added to a row changes nothing.

    Parameters
    ----------
    horizon, states, actions
        Shape of the table.
    """

    horizon: int
    states: int
    actions: int

    @property
    def parameters(self) -> int:
        """Number of logits of one replicate."""
        return self.horizon * self.states * self.actions

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the normalised log-probabilities of every step, state and action."""
        logits = parameters.reshape(-1, self.horizon, self.states, self.actions)
        return torch.log_softmax(logits, dim=-1)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the logits of ``sum(cotangent * table(logits))``."""
        policy = torch.softmax(parameters.reshape(cotangent.shape), dim=-1)
        total = cotangent.sum(-1, keepdim=True)
        return torch.addcmul(cotangent, policy, total, value=-1).reshape(parameters.shape)

    def initial(
        self, log_policy: Float[Tensor, "h s a"], replicates: int
    ) -> Float[Tensor, "replicate parameter"]:
        """Return logits that represent ``log_policy`` exactly."""
        return log_policy.reshape(1, -1).repeat(replicates, 1)
