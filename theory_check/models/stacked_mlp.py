"""Multilayer perceptrons of many replicates, as batched matrix products.

Every replicate has its own weights and all see the same inputs, the rows of one matrix. At the sizes
of this suite, building a graph costs more than the arithmetic, so the pullback is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from theory_check.errors import (
    InvalidArgumentError,
    require_table,
)

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


DEEPEST = 1000
"""Hidden layers of a network."""


def require_network(width: int, depth: int) -> None:
    """Refuse more hidden layers, or more parameters of them, than are ever useful.

    What a problem adds is looked at where it is bound.
    """
    if depth > DEEPEST:
        raise InvalidArgumentError("depth", depth, f"pass at most {DEEPEST} hidden layers")
    require_table("width", width, int(width) * (1 + int(width) * (int(depth) - 1)))


@dataclass(frozen=True)
class Layer:
    """Where a layer's weights, and its biases behind them, stand in a replicate's parameters."""

    fan_in: int
    fan_out: int
    start: int
    biased: bool

    @property
    def biases(self) -> int:
        """Position of the first bias."""
        return self.start + self.fan_in * self.fan_out

    @property
    def end(self) -> int:
        """Position behind the last parameter."""
        return self.biases + (self.fan_out if self.biased else 0)


@dataclass(frozen=True, eq=False)
class _Pass:
    """What a forward pass leaves behind for the pullback.

    ``parameters`` were its argument and ``outputs`` its result; ``versions`` are theirs. ``weights``:
    one entry per layer. ``before`` and ``after`` the activation: one entry per hidden layer, shape
    (replicate, row, width).
    """

    parameters: Tensor
    weights: tuple[Tensor, ...]
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    outputs: Tensor
    versions: tuple[int, int]

    def answers(self, parameters: Tensor) -> bool:
        """Return whether this is the pass at ``parameters``, and nobody wrote to it or to them."""
        return self.parameters is parameters and self.versions == (
            parameters._version,
            self.outputs._version,
        )


@dataclass(eq=False)
class StackedMLP:
    """Networks of all replicates on the rows of one input matrix.

    ``output = W_D f(... f(W_0 x + b_0) ...) + b_D``. A replicate's parameters are the layers one
    after the other: weights, shape (fan in, fan out), then biases.

    Parameters
    ----------
    inputs
        One row per input, shape (row, input).
    hidden
        Width of every hidden layer; none gives a linear map.
    outputs
        Number of outputs.
    activation
        Name in :data:`theory_check.models.stacked_mlp.ACTIVATIONS`.
    biased
        Whether layers have biases.
    """

    inputs: Float[Tensor, "row input"]
    hidden: Sequence[int]
    outputs: int
    activation: ActivationName = "tanh"
    biased: bool = True
    _last: _Pass | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse more parameters, or more numbers behind a layer, than are ever useful."""
        widest = max((*self.hidden, self.outputs))
        require_table("width", widest, self.parameters + self.inputs.shape[0] * widest)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, from the inputs on."""
        found: list[Layer] = []
        for fan_in, fan_out in pairwise((self.inputs.shape[1], *self.hidden, self.outputs)):
            start = found[-1].end if found else 0
            found.append(Layer(fan_in, fan_out, start, self.biased))
        return tuple(found)

    @property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return self.layers[-1].end

    def forward(
        self, parameters: Float[Tensor, "replicate parameter"]
    ) -> Float[Tensor, "replicate row output"]:
        """Return the outputs on every row of the inputs."""
        return unpaired(self._pass(parameters).outputs, parameters)

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        cotangent: Float[Tensor, "replicate row output"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``parameters`` of ``sum(cotangent * forward(parameters))``."""
        done = self._pass(parameters)
        through_activation = ACTIVATIONS[self.activation].pullback
        cotangent = paired(cotangent)
        pieces: list[Tensor] = []
        for position in range(len(self.layers) - 1, -1, -1):
            if self.biased:
                pieces.append(cotangent.sum(1))
            if position:
                received = done.after[position - 1]
                pieces.append(torch.bmm(received.mT, cotangent).flatten(1))
                back = torch.bmm(cotangent, done.weights[position].mT)
                cotangent = through_activation(back, done.before[position - 1], received)
            elif self._indicators:
                pieces.append(cotangent.flatten(1))
            else:
                received = self.inputs.mT.expand(cotangent.shape[0], -1, -1)
                pieces.append(torch.bmm(received, cotangent).flatten(1))
        return unpaired(torch.cat(pieces[::-1], dim=1), parameters)

    def deviations(self, weight_scale: float, output_scale: float) -> Float[Tensor, " parameter"]:
        """Return the standard deviation of every parameter at the start.

        Hidden layers: ``weight_scale / sqrt(fan in)`` for weights and biases alike, as
        ``torch.nn.Linear`` scales both (with a uniform law). Output layer: ``output_scale / sqrt(fan
        in)`` for weights, 0 for biases.
        """
        found = torch.zeros(self.parameters, dtype=self.inputs.dtype, device=self.inputs.device)
        *hidden, output = self.layers
        for layer in hidden:
            found[layer.start : layer.end] = weight_scale / layer.fan_in**0.5
        found[output.start : output.biases] = output_scale / output.fan_in**0.5
        return found

    def _pass(self, parameters: Tensor) -> _Pass:
        """Return the forward pass, that of the last call where the parameters are still the same.

        Oracles ask for a table and then for its pullback, and the upper variable rests while the
        lower one moves. A tensor that was written to in place has another version; one that
        belongs to a graph, or has no version, is never kept.
        """
        kept = not (parameters.requires_grad or parameters.is_inference())
        last = self._last  # read once: another thread may replace it
        if kept and last is not None and last.answers(parameters):
            return last
        activate = ACTIVATIONS[self.activation].value
        weights, biases = self._blocks(paired(parameters))
        if not self._indicators:
            signal = _affine(self.inputs.expand(len(weights[0]), -1, -1), weights[0], biases[0])
        elif biases[0] is None:
            signal = weights[0].clone()
        else:
            signal = weights[0] + biases[0]
        before, after = [], []
        for position in range(1, len(self.layers)):
            before.append(signal)
            after.append(activate(signal))
            signal = _affine(after[-1], weights[position], biases[position])
        versions = (parameters._version, signal._version) if kept else (0, 0)
        done = _Pass(parameters, weights, tuple(before), tuple(after), signal, versions)
        if kept:
            self._last = done
        return done

    def _blocks(self, parameters: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        """Return weights and biases of every layer, shapes (replicate, fan in or 1, fan out)."""
        pieces = torch.split(parameters, self._sizes, dim=1)
        count = len(self.layers)
        weights = tuple(
            piece.view(-1, layer.fan_in, layer.fan_out)
            for piece, layer in zip(pieces[:: len(pieces) // count], self.layers, strict=True)
        )
        if not self.biased:
            return weights, (None,) * count
        return weights, tuple(piece[:, None] for piece in pieces[1::2])

    @cached_property
    def _sizes(self) -> list[int]:
        """Lengths of the blocks of a replicate's parameters."""
        return [
            size
            for layer in self.layers
            for size in (layer.biases - layer.start, layer.end - layer.biases)
            if size
        ]

    @cached_property
    def _indicators(self) -> bool:
        """Whether the inputs are indicators of the rows, so that products with them cost nothing."""
        rows, columns = self.inputs.shape
        return rows == columns and torch.equal(self.inputs, torch.eye(rows).to(self.inputs))


def paired(values: Tensor) -> Tensor:
    """Return the values of at least two replicates, a single one twice.

    Libraries multiply a single pair of matrices by other kernels than a batch, which round
    differently: a replicate's numbers would depend on whether others run beside it.
    """
    return values.expand(2, *values.shape[1:]) if values.shape[0] == 1 else values


def unpaired(values: Tensor, parameters: Tensor) -> Tensor:
    """Undo :func:`paired`."""
    return values[:1] if parameters.shape[0] == 1 else values


def _affine(signal: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
    """Return what a layer hands on, before its activation."""
    product = torch.bmm(signal, weights)
    # In place, which is faster than torch.baddbmm.
    return product if biases is None else product.add_(biases)
