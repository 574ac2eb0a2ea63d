"""Rewards given by a causal transformer that reads whole sequences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from theory_check.models.base import ModelInputs, RewardClass
from theory_check.models.read_table import ReadTable, written_prefixes
from theory_check.models.stacked_transformer import StackedTransformer, require_transformer
from theory_check.settings import Flag, PositiveInteger, Scale


@dataclass(frozen=True)
class TransformerReward(RewardClass):
    """Rewards of a causal transformer: a score of the whole sequence with its last token.

    The score is read at the token that completes the sequence, and all earlier tokens have reward 0.
    For problems of sequences.

    Parameters
    ----------
    layers
        Layers of attention and perceptron.
    heads
        Heads of the attention; they divide the width.
    width
        Units of every token, at least 2; four times as many in the hidden layer of a perceptron.
    per_token
        Whether every token has a score, read where it was written.
    weight_scale
        Runs start at embeddings of standard deviation ``weight_scale``, weights of ``weight_scale /
        sqrt(fan in)``, divided by ``sqrt(2 layers)`` where they write to what is summed over layers,
        all times the standard deviation of the noise; biases start at 0, gains at 1.

    Raises
    ------
    InvalidArgumentError
        Naming the setting, its value and the remedy.
    """

    name: ClassVar[str] = "transformer"
    reads_prefixes: ClassVar[bool] = True
    activation: ClassVar[str] = "gelu"

    layers: PositiveInteger = 1
    heads: PositiveInteger = 2
    width: PositiveInteger = 16
    per_token: Flag = False
    weight_scale: Scale = 1.0

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        super().__post_init__()
        require_transformer(self.layers, self.heads, self.width)

    def bind(self, inputs: ModelInputs) -> TransformerRewardModel:
        """Return the model of this class on a problem's states and actions.

        Raises
        ------
        InvalidArgumentError
            If states are no prefixes, policies have several steps or actions are no tokens.
        """
        prefixes = written_prefixes("reward", inputs)
        table = ReadTable.of_tokens(prefixes, self.per_token, inputs.log_reference.dtype)
        network = StackedTransformer(table.tree.symbols, 1, self.layers, self.heads, self.width)
        network.require_room(table.forest.nodes)
        return TransformerRewardModel(network, table, prefixes.vocabulary, self.weight_scale)


@dataclass(frozen=True, eq=False)
class TransformerRewardModel:
    """``r_phi(s, a)`` = the output at token a behind s where it is read, 0 elsewhere.

    Parameters
    ----------
    network
        The networks of all replicates, with one output.
    read
        Where the output of every state and action stands, states first.
    actions
        Number of tokens.
    weight_scale
        As in :class:`TransformerReward`.
    """

    network: StackedTransformer
    read: ReadTable
    actions: int
    weight_scale: float

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.network.parameters

    def table(self, phi: Float[Tensor, "replicate parameter"]) -> Float[Tensor, "replicate s a"]:
        """Return the reward of every state and action."""
        outputs = self.read.outputs(self.network, phi)
        return outputs.reshape(phi.shape[0], -1, self.actions)

    def pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * table(phi))``."""
        return self.read.pullback(self.network, phi, cotangent.flatten(1)[..., None])

    def rows(
        self, phi: Float[Tensor, "replicate parameter"], index: Int[Tensor, "replicate row"]
    ) -> Float[Tensor, "replicate row"]:
        """Return the rewards of ``state * actions + action``; only sequences so far are read."""
        return self.read.outputs_of(self.network, phi, index)[..., 0]

    def rows_pullback(
        self,
        phi: Float[Tensor, "replicate parameter"],
        index: Int[Tensor, "replicate row"],
        cotangent: Float[Tensor, "replicate row"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``phi`` of ``sum(cotangent * rows(phi, index))``."""
        return self.read.rows_pullback(self.network, phi, index, cotangent[..., None])

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return 1 for gains, and for all others ``noise`` times the deviation of every parameter."""
        centre, deviations = self._start
        return torch.addcmul(centre, noise.to(deviations), deviations)

    @cached_property
    def _start(self) -> tuple[Tensor, Tensor]:
        like = self.read.forest.symbols
        deviations = self.network.deviations(self.weight_scale, self.weight_scale)
        return self.network.centre().to(like), deviations.to(like)
