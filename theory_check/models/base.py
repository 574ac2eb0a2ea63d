"""What a parametric class is: parameters to tables, and gradients of tables to gradients.

Sampled and exact estimators work on tables (a reward for every state and action, a log-probability
for every step, state and action). A model is the only thing that knows about parameters, so
tabular, linear and neural classes share one code path.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class RewardModel(Protocol):
    """A reward class ``phi -> r_phi``."""

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        ...

    def table(self, phi: Float[Tensor, "replicate parameter"]) -> Float[Tensor, "replicate s a"]:
        """Return the reward of every state and action."""
        ...

    def pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * table(phi))``."""
        ...


@runtime_checkable
class PolicyModel(Protocol):
    """A policy class ``lambda -> pi_lambda``."""

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        ...

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the normalised log-probabilities of every step, state and action."""
        ...

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate h s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * table(parameters))``."""
        ...

    def initial(
        self, log_policy: Float[Tensor, "h s a"], replicates: int
    ) -> Float[Tensor, "replicate parameter"]:
        """Return parameters that represent ``log_policy``, or the nearest policy of the class."""
        ...
