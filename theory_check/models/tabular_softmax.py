"""Policies with one free logit per step, state and action."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.models.base import (
    ModelInputs,
    PolicyClass,
    absent_actions,
    log_policy_of,
    pull_back_to_logits,
)


@dataclass(frozen=True)
class Tabular(PolicyClass):
    """One free logit per step, state and action."""

    name: ClassVar[str] = "tabular"

    def bind(self, inputs: ModelInputs) -> TabularSoftmax:
        """Return the model of this class on a problem's steps, states and actions."""
        return TabularSoftmax(inputs.log_reference)


@dataclass(frozen=True, eq=False)
class TabularSoftmax:
    """Tabular softmax policy ``pi_h(a|s) ∝ exp(lambda[h, s, a])``.

    The logits have a null direction per step and state: a constant added to a row changes nothing.

    Parameters
    ----------
    log_reference
        ``log pi_ref``, where runs start, shape (steps, states, actions).
    """

    log_reference: Float[Tensor, "h s a"]

    @property
    def parameters(self) -> int:
        """Number of logits of one replicate."""
        return self.log_reference.numel()

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the normalised log-probabilities of every step, state and action."""
        logits = parameters.reshape(-1, *self.log_reference.shape)
        return log_policy_of(logits, self._absent)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the logits of ``sum(cotangent * table(logits))``."""
        logits = parameters.reshape(cotangent.shape)
        return pull_back_to_logits(logits, cotangent, self._absent).reshape(parameters.shape)

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the logits of the reference policy, whatever the noise."""
        return self.log_reference.reshape(1, -1).repeat(noise.shape[0], 1)

    @cached_property
    def _absent(self) -> Bool[Tensor, "h s a"] | None:
        return absent_actions(self.log_reference)
