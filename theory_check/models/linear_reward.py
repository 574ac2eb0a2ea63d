"""Rewards linear in given features; the tabular class is the case of indicator features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.models.base import ModelInputs, RewardClass


@dataclass(frozen=True)
class Linear(RewardClass):
    """Rewards linear in the features of the problem."""

    name: ClassVar[str] = "linear"

    def bind(self, inputs: ModelInputs) -> LinearReward:
        """Return the model of this class on a problem's states and actions."""
        return LinearReward(inputs.features)


@dataclass(frozen=True, eq=False)
class LinearReward:
    """``r_phi(s, a) = phi . x(s, a)``.

    Parameters
    ----------
    features
        Feature vectors ``x(s, a)``, shape (states, actions, parameters).
    """

    features: Float[Tensor, "s a parameter"]

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.features.shape[-1]

    def table(self, phi: Float[Tensor, "replicate parameter"]) -> Float[Tensor, "replicate s a"]:
        """Return the reward of every state and action."""
        return (phi @ self._matrix.T).reshape(-1, *self.features.shape[:-1])

    def pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * table(phi))``."""
        return cotangent.flatten(1) @ self._matrix

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return ``noise`` itself: standard normal parameters."""
        return noise

    @cached_property
    def _matrix(self) -> Float[Tensor, "pair parameter"]:
        """The features with states and actions flattened."""
        return self.features.flatten(0, 1)
