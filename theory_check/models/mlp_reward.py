"""Rewards given by a multilayer perceptron of a state's observation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from theory_check.models.base import ModelInputs, RewardClass
from theory_check.models.stacked_mlp import ActivationName, StackedMLP, require_network
from theory_check.settings import PositiveInteger, Scale


@dataclass(frozen=True)
class MLPReward(RewardClass):
    """Rewards of a multilayer perceptron: observation in, one output per action.

    Parameters
    ----------
    width
        Units of every hidden layer.
    depth
        Number of hidden layers, at least 1.
    activation
        ``"tanh"``, ``"gelu"``, ``"silu"``, ``"softplus"``, ``"sigmoid"`` or ``"relu"``. The theory
        takes derivatives of the hypergradient, which ``"relu"`` does not have everywhere.
    weight_scale
        Runs start at weights of standard deviation ``weight_scale / sqrt(fan in)`` in every layer,
        hidden biases of the same one and output biases of 0, all times the standard deviation of
        the noise.

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

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        super().__post_init__()
        require_network(self.width, self.depth)

    def bind(self, inputs: ModelInputs) -> MLPRewardModel:
        """Return the model of this class on a problem's states and actions."""
        actions = inputs.log_reference.shape[-1]
        hidden = (self.width,) * self.depth
        network = StackedMLP(inputs.observations, hidden, actions, self.activation)
        return MLPRewardModel(network, self.weight_scale)


@dataclass(frozen=True, eq=False)
class MLPRewardModel:
    """``r_phi(s, a)`` = output a of the network at the observation of s.

    Parameters
    ----------
    network
        The networks of all replicates, one input row per state and one output per action.
    weight_scale
        As in :class:`MLPReward`.
    """

    network: StackedMLP
    weight_scale: float

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.network.parameters

    def table(self, phi: Float[Tensor, "replicate parameter"]) -> Float[Tensor, "replicate s a"]:
        """Return the reward of every state and action."""
        return self.network.forward(phi)

    def pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * table(phi))``."""
        return self.network.pullback(phi, cotangent)

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return ``noise`` times the deviation of every parameter."""
        return noise.to(self._deviations) * self._deviations

    @cached_property
    def _deviations(self) -> Float[Tensor, " parameter"]:
        return self.network.deviations(self.weight_scale, self.weight_scale)
