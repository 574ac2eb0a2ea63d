"""Policies given by a causal transformer that reads the prompt and the tokens written so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_positive, require_seed
from theory_check.models.base import (
    ABSENT,
    ModelInputs,
    PolicyClass,
    Prefixes,
    absent_actions,
    log_policy_of,
    pull_back_to_logits,
)
from theory_check.models.read_table import ReadTable, written_prefixes
from theory_check.models.stacked_transformer import StackedTransformer, require_transformer
from theory_check.settings import NonNegative, PositiveInteger, Scale


@dataclass(frozen=True)
class TransformerPolicy(PolicyClass):
    """Softmax policies of a causal transformer: prompt and tokens in, one logit per next token.

    Logits are added to those of the reference policy; behind an end token the policy is the reference.
    For problems of sequences, whose policies have one step.

    Parameters
    ----------
    layers
        Layers of attention and perceptron.
    heads
        Heads of the attention; they divide the width.
    width
        Units of every token, at least 2; four times as many in the hidden layer of a perceptron.
    weight_scale
        Embeddings start at a standard deviation of ``weight_scale``, weights at ``weight_scale /
        sqrt(fan in)``, divided by ``sqrt(2 layers)`` where they write to what is summed over layers.
    output_scale
        The output layer starts at weights of standard deviation ``output_scale / sqrt(width)`` and
        biases of 0; with 0, runs start at the reference policy.

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
    weight_scale: Scale = 1.0
    output_scale: NonNegative = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a network."""
        super().__post_init__()
        require_transformer(self.layers, self.heads, self.width)

    def bind(self, inputs: ModelInputs) -> TransformerPolicyModel:
        """Return the model of this class on a problem's states and actions.

        Raises
        ------
        InvalidArgumentError
            If states are no prefixes, policies have several steps or actions are no tokens.
        """
        prefixes = written_prefixes("policy", inputs)
        table = ReadTable.of_states(prefixes, inputs.log_reference.dtype)
        network = StackedTransformer(
            table.tree.symbols, prefixes.vocabulary, self.layers, self.heads, self.width
        )
        network.require_room(table.forest.nodes)
        return TransformerPolicyModel(
            network, table, inputs.log_reference, self.weight_scale, self.output_scale
        )


@dataclass(frozen=True, eq=False)
class TransformerPolicyModel:
    """``log pi(a|s)`` = log-softmax over a of ``log pi_ref(a|s) + output a at the last token of s``.

    Parameters
    ----------
    network
        The networks of all replicates, one output per token.
    read
        Where the outputs of every state stand.
    log_reference
        ``log pi_ref``, shape (1, states, actions).
    weight_scale, output_scale
        As in :class:`TransformerPolicy`.
    """

    network: StackedTransformer
    read: ReadTable
    log_reference: Float[Tensor, "1 s a"]
    weight_scale: float
    output_scale: float

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.network.parameters

    def table(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate 1 s a"]:
        """Return the normalised log-probabilities of every state and action."""
        return log_policy_of(self._logits(parameters), self._absent)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate 1 s a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * table(parameters))``."""
        in_outputs = pull_back_to_logits(self._logits(parameters), cotangent, self._absent)
        return self.read.pullback(self.network, parameters, in_outputs[:, 0])

    def rows(
        self, parameters: Float[Tensor, "replicate parameter"], index: Int[Tensor, "replicate row"]
    ) -> Float[Tensor, "replicate row a"]:
        """Return the log-probabilities in states; only sequences that lead to them are read."""
        logits, absent = self._logits_of(parameters, index)
        return log_policy_of(logits, absent)

    def rows_pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        index: Int[Tensor, "replicate row"],
        cotangent: Float[Tensor, "replicate row a"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in the parameters of ``sum(cotangent * rows(parameters, index))``."""
        logits, absent = self._logits_of(parameters, index)
        in_outputs = pull_back_to_logits(logits[None], cotangent[None], absent)
        return self.read.rows_pullback(self.network, parameters, index, in_outputs[0])

    def initial(
        self, noise: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate parameter"]:
        """Return 1 for gains, and for all others ``noise`` times the deviation of every parameter."""
        centre, deviations = self._start
        return torch.addcmul(centre, noise.to(deviations), deviations)

    def _logits(self, parameters: Tensor) -> Float[Tensor, "replicate 1 s a"]:
        return self.read.outputs(self.network, parameters)[:, None] + self.log_reference

    def _logits_of(self, parameters: Tensor, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits in states, and which actions do not exist there, shapes (replicate, row, a)."""
        outputs = self.read.outputs_of(self.network, parameters, index)
        absent = None if self._absent is None else self._absent[0, index]
        return outputs + self.log_reference[0, index], absent

    @cached_property
    def _absent(self) -> Bool[Tensor, "1 s a"] | None:
        return absent_actions(self.log_reference)

    @cached_property
    def _start(self) -> tuple[Tensor, Tensor]:
        deviations = self.network.deviations(self.weight_scale, self.output_scale)
        return self.network.centre().to(self.log_reference), deviations.to(self.log_reference)


def random_log_policy(
    prefixes: Prefixes, layers: int, heads: int, width: int, scale: float, seed: int
) -> Float[Tensor, "1 s a"]:
    """Return the log-probabilities of a transformer with random weights, such as a reference policy.

    Parameters
    ----------
    prefixes
        What is written in every state; behind an end token all tokens are equally likely.
    layers, heads, width
        As in :class:`TransformerPolicy`.
    scale
        Standard deviation of the logits over weights of the output layer.
    seed
        Of the weights: equal seeds give equal numbers.

    Raises
    ------
    InvalidArgumentError
        Naming the argument, its value and the remedy, also where a probability would not be positive.
    """
    require_positive("scale", scale)
    require_seed("seed", seed)
    shape = (1, len(prefixes.prompts), prefixes.vocabulary)
    uniform = torch.zeros(shape, dtype=torch.float64, device=prefixes.prompts.device)
    inputs = ModelInputs(
        observations=uniform[0, :, :0],
        features=uniform[0, :, :, None][..., :0],
        log_reference=uniform,
        prefixes=prefixes,
    )
    model = TransformerPolicy(layers, heads, width, output_scale=scale).bind(inputs)
    noise = np.random.default_rng(seed).standard_normal((1, model.parameters))
    found = model.table(model.initial(torch.from_numpy(noise)))[0]
    # The smallest positive float is near exp(-745).
    if not bool((found > max(ABSENT, -700.0)).all()):
        raise InvalidArgumentError(
            "scale", scale, "pass a smaller scale: some tokens would have a probability of 0"
        )
    return found
