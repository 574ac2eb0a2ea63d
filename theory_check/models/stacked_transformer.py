"""Causal transformers of many replicates on a forest of prefixes, as batched matrix products.

Before every block a layer norm, behind it a sum with what came in (Xiong et al. 2020, "On layer
normalization in the transformer architecture"); multi-head attention to the node itself and those
above it (Vaswani et al. 2017, "Attention is all you need"); a perceptron with one hidden layer of
:data:`FACTOR` times the width and gelu. A last layer norm and a linear map give the outputs. Gains and
biases of layer norms are multiplied into the maps behind them, replicate by replicate. The pullback is
written by hand, as for :class:`theory_check.models.stacked_mlp.StackedMLP`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from theory_check.errors import InvalidArgumentError, require_table
from theory_check.models.prefix_tree import Forest
from theory_check.models.stacked_mlp import paired, unpaired
from theory_check.models.tree_attention import attend, pull_back_attention

FACTOR = 4
"""Units of the perceptron's hidden layer for each unit of the width."""

EPSILON = 1e-5
"""Added to the variance under the root of a layer norm."""

MOST_LAYERS = 100
"""Layers of a network."""

_TOGETHER = 2**19
"""Numbers behind a hidden layer of the replicates that are computed together.

The time hardly depends on it, the memory does: a pass has about six times as many numbers.
"""

_REMEMBERED = 2**24
"""Numbers of a forward pass that is kept for the pullback: 128 MiB.

Beyond that, the pullback computes the pass of some replicates after the other again, which takes a
quarter of the time of both.
"""

_backward = torch.ops.aten


def require_transformer(layers: int, heads: int, width: int) -> None:
    """Refuse heads that do not divide the width, a width of 1, and sizes that are never useful.

    What a problem adds is looked at where it is bound.
    """
    if layers > MOST_LAYERS:
        raise InvalidArgumentError("layers", layers, f"pass at most {MOST_LAYERS} layers")
    if width < 2:
        raise InvalidArgumentError(
            "width", width, "pass at least 2: a layer norm leaves nothing of a single unit"
        )
    if width % heads:
        raise InvalidArgumentError(
            "heads", heads, f"pass a number that divides the width, which is {width}"
        )
    require_table("width", width, layers * (4 + 2 * FACTOR) * int(width) ** 2)


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a forward pass of one layer leaves behind.

    ``normed`` and ``deviation``: before attention, then before the perceptron. ``heads``: queries, keys
    and values, shape (3, head, replicate, node, unit). ``shares``: of the attention of each group, None
    for roots. ``above``: keys and values of a group's nodes and all above, None of one without children.
    """

    normed: tuple[Tensor, Tensor]
    deviation: tuple[Tensor, Tensor]
    heads: Tensor
    shares: tuple[Tensor | None, ...]
    above: tuple[Tensor | None, ...]
    mixed: Tensor
    hidden: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class _Chunk:
    """What a forward pass of some replicates leaves behind."""

    weights: dict[str, Tensor]
    layers: tuple[_Layer, ...]
    normed: Tensor
    deviation: Tensor
    outputs: Tensor


@dataclass(frozen=True, eq=False)
class _Pass:
    """The last forward pass: its arguments and result, and ``versions`` of parameters and result."""

    parameters: Tensor
    forest: Forest
    outputs: Tensor
    versions: tuple[int, int]
    chunks: tuple[_Chunk, ...] | None

    def answers(self, parameters: Tensor, forest: Forest) -> bool:
        """Return whether this is the pass at the arguments, and nobody wrote to anything of it."""
        if self.parameters is not parameters or self.forest is not forest:
            return False
        return self.versions == (parameters._version, self.outputs._version)


@dataclass(eq=False)
class StackedTransformer:
    """Networks of all replicates, without what they read.

    A replicate's parameters are the blocks of :attr:`blocks` one after the other.

    Parameters
    ----------
    symbols
        Number of prompts and tokens that occur, and of positions: rows of the embedding.
    outputs
        Number of outputs.
    layers
        Layers of attention and perceptron.
    heads
        Heads of the attention, which divide the width.
    width
        Units that are handed from layer to layer.
    """

    symbols: int
    outputs: int
    layers: int
    heads: int
    width: int
    _last: _Pass | None = field(default=None, init=False, repr=False)

    @cached_property
    def blocks(self) -> dict[str, tuple[int, int]]:
        """Shapes of the blocks of parameters by name, in their order; those of biases have one row."""
        width, wide = self.width, FACTOR * self.width
        found = {"embedding": (self.symbols, width)}
        for layer in range(self.layers):
            found |= {
                f"{layer}.gain": (1, width),
                f"{layer}.shift": (1, width),
                f"{layer}.attend": (width, 3 * width),
                f"{layer}.mix": (width, width),
                f"{layer}.mix_bias": (1, width),
                f"{layer}.hidden_gain": (1, width),
                f"{layer}.hidden_shift": (1, width),
                f"{layer}.hidden": (width, wide),
                f"{layer}.hidden_bias": (1, wide),
                f"{layer}.back": (wide, width),
                f"{layer}.back_bias": (1, width),
            }
        return found | {
            "gain": (1, width),
            "shift": (1, width),
            "output": (width, self.outputs),
            "output_bias": (1, self.outputs),
        }

    @cached_property
    def parameters(self) -> int:
        """Number of parameters of one replicate."""
        return sum(rows * columns for rows, columns in self.blocks.values())

    def require_room(self, nodes: int) -> None:
        """Refuse more parameters, or more numbers behind a layer on ``nodes``, than are ever useful."""
        widest = max(FACTOR * self.width, self.outputs, self.symbols)
        require_table("width", self.width, self.parameters + nodes * widest)

    def forward(
        self, parameters: Float[Tensor, "replicate parameter"], forest: Forest
    ) -> Float[Tensor, "replicate node output"]:
        """Return the outputs on every node that is read."""
        return self._pass(parameters, forest).outputs

    def pullback(
        self,
        parameters: Float[Tensor, "replicate parameter"],
        forest: Forest,
        cotangent: Float[Tensor, "replicate node output"],
    ) -> Float[Tensor, "replicate parameter"]:
        """Return the gradient in ``parameters`` of ``sum(cotangent * forward(parameters, forest))``."""
        last = self._last  # read once: another thread may replace it
        remembered = last is not None and last.answers(parameters, forest)
        chunks = last.chunks if last is not None and remembered else None
        pieces = []
        for number, (first, end) in enumerate(self._cuts(parameters.shape[0], forest)):
            part, own = parameters[first:end], forest.of(first, end)
            done = chunks[number] if chunks else self._forward(paired(part), own)
            pulled = self._pullback(done, own, paired(cotangent[first:end]), paired(part))
            pieces.append(unpaired(pulled, part))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def deviations(self, weight_scale: float, output_scale: float) -> Float[Tensor, " parameter"]:
        """Return the standard deviation of every parameter at the start.

        ``weight_scale`` for embeddings, ``weight_scale / sqrt(fan in)`` for weights, divided by
        ``sqrt(2 layers)`` where they write to what is summed over layers (Radford et al. 2019),
        ``output_scale / sqrt(width)`` for those of the output, 0 for gains and biases.
        """
        deep = weight_scale / math.sqrt(2 * self.layers)
        found = {"embedding": weight_scale, "output": output_scale / math.sqrt(self.width)}
        for layer in range(self.layers):
            found |= {
                f"{layer}.attend": weight_scale / math.sqrt(self.width),
                f"{layer}.mix": deep / math.sqrt(self.width),
                f"{layer}.hidden": weight_scale / math.sqrt(self.width),
                f"{layer}.back": deep / math.sqrt(FACTOR * self.width),
            }
        return self._filled(found)

    def centre(self) -> Float[Tensor, " parameter"]:
        """Return the mean of every parameter at the start: 1 for gains, 0 for all others."""
        return self._filled({name: 1.0 for name in self.blocks if name.endswith("gain")})

    def _filled(self, values: dict[str, float]) -> Tensor:
        return torch.cat(
            [
                torch.full((rows * columns,), values.get(name, 0.0), dtype=torch.float64)
                for name, (rows, columns) in self.blocks.items()
            ]
        )

    def _cuts(self, replicates: int, forest: Forest) -> list[tuple[int, int]]:
        """Return which replicates are computed together, at least two of them."""
        size = max(2, _TOGETHER // (forest.nodes * FACTOR * self.width))
        stops = [*range(size, replicates - 1, size), replicates]
        return list(zip([0, *stops[:-1]], stops, strict=True))

    def _pass(self, parameters: Tensor, forest: Forest) -> _Pass:
        """Return the forward pass, that of the last call where the arguments are still the same.

        As :class:`theory_check.models.stacked_mlp.StackedMLP` does; what lies between is kept where it
        is not large.
        """
        kept = not (parameters.requires_grad or torch.is_inference_mode_enabled())
        kept = kept and not parameters.is_inference()
        last = self._last  # read once: another thread may replace it
        if kept and last is not None and last.answers(parameters, forest):
            return last
        size = parameters.shape[0] * forest.nodes * self.width * self.layers * 24
        outputs: list[Tensor] = []
        chunks: list[_Chunk] | None = [] if kept and size <= _REMEMBERED else None
        for first, end in self._cuts(parameters.shape[0], forest):
            part = parameters[first:end]
            done = self._forward(paired(part), forest.of(first, end))
            outputs.append(unpaired(done.outputs, part))
            if chunks is not None:
                chunks.append(done)
        result = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        versions = (parameters._version, result._version) if kept else (0, 0)
        found = _Pass(parameters, forest, result, versions, tuple(chunks) if chunks else None)
        if kept:
            self._last = found
        return found

    def _forward(self, parameters: Tensor, forest: Forest) -> _Chunk:
        """Return the forward pass of some replicates."""
        weights = self._folded(parameters)
        signal = torch.bmm(forest.symbols.expand(parameters.shape[0], -1, -1), weights["embedding"])
        layers = []
        for layer in range(self.layers):
            # Of the last one, nobody but the nodes that are read needs more than keys and values.
            unread = forest.unread if layer == self.layers - 1 else 0
            normed, deviation = self._normed(signal)
            heads = _affine(normed, weights[f"{layer}.attend"], weights[f"{layer}.attend_bias"])
            heads = heads.view(*heads.shape[:2], 3, self.heads, self.width // self.heads)
            heads = heads.permute(2, 3, 0, 1, 4).contiguous()
            mixed, shares, known = attend(heads, forest.groups, unread)
            back = _affine(mixed, weights[f"{layer}.mix"], weights[f"{layer}.mix_bias"])
            signal = signal[:, unread:] + back
            between, its_deviation = self._normed(signal)
            before = _affine(between, weights[f"{layer}.hidden"], weights[f"{layer}.hidden_bias"])
            after = functional.gelu(before)
            back = _affine(after, weights[f"{layer}.back"], weights[f"{layer}.back_bias"])
            signal = signal + back
            done = (normed, between), (deviation, its_deviation), heads, tuple(shares), tuple(known)
            layers.append(_Layer(*done, mixed, (before, after)))
        normed, deviation = self._normed(signal)
        outputs = _affine(normed, weights["output"], weights["output_bias"])
        return _Chunk(weights, tuple(layers), normed, deviation, outputs)

    def _pullback(
        self, done: _Chunk, forest: Forest, cotangent: Tensor, parameters: Tensor
    ) -> Tensor:
        """Return the gradient in the parameters of some replicates."""
        weights = done.weights
        found: dict[str, Tensor] = {}
        cotangent = _through_affine("output", cotangent, done.normed, weights, found)
        cotangent = _through_norm(cotangent, done.normed, done.deviation)
        for layer in range(self.layers - 1, -1, -1):
            own = done.layers[layer]
            unread = forest.unread if layer == self.layers - 1 else 0
            before, after = own.hidden
            pulled = _through_affine(f"{layer}.back", cotangent, after, weights, found)
            pulled = _backward.gelu_backward(pulled, before)
            pulled = _through_affine(f"{layer}.hidden", pulled, own.normed[1], weights, found)
            cotangent = _through_norm(pulled, own.normed[1], own.deviation[1]).add_(cotangent)
            pulled = _through_affine(f"{layer}.mix", cotangent, own.mixed, weights, found)
            in_heads = pull_back_attention(
                pulled, own.heads, forest.groups, unread, own.shares, own.above
            )
            pulled = in_heads.permute(2, 3, 0, 1, 4).flatten(2)
            pulled = _through_affine(f"{layer}.attend", pulled, own.normed[0], weights, found)
            pulled = _through_norm(pulled, own.normed[0], own.deviation[0])
            pulled[:, unread:] += cotangent
            cotangent = pulled
        symbols = forest.symbols.mT.expand(cotangent.shape[0], -1, -1)
        found["embedding"] = torch.bmm(symbols, cotangent)
        self._unfold(found, self.cut(parameters))
        return torch.cat([found[name].flatten(1) for name in self.blocks], dim=1)

    def _normed(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return values of mean 0 and variance 1 over the units, and one over their deviation."""
        normed, _, inverse = torch.native_layer_norm(signal, [self.width], None, None, EPSILON)
        return normed, inverse

    def cut(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return the blocks of parameters by name, shapes (replicate, rows, columns)."""
        sizes = [rows * columns for rows, columns in self.blocks.values()]
        pieces = torch.split(parameters, sizes, dim=1)
        shaped = zip(self.blocks.items(), pieces, strict=True)
        return {name: piece.reshape(-1, *shape) for (name, shape), piece in shaped}

    @cached_property
    def _norms(self) -> list[tuple[str, str, str]]:
        """Gain, shift and the map behind them, of every layer norm."""
        found = [("gain", "shift", "output")]
        for layer in range(self.layers):
            found.append((f"{layer}.gain", f"{layer}.shift", f"{layer}.attend"))
            found.append((f"{layer}.hidden_gain", f"{layer}.hidden_shift", f"{layer}.hidden"))
        return found

    def _folded(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return the maps with the gains and shifts before them, queries divided by their root."""
        weights = self.cut(parameters)
        for gain, shift, name in self._norms:
            bias = weights[shift] @ weights[name]
            own = weights.get(f"{name}_bias")
            bias = bias if own is None else bias + own
            matrix = weights[gain].mT * weights[name]
            if name.endswith("attend"):
                softening = self._softening(parameters)
                matrix, bias = matrix * softening, bias * softening
            weights[name], weights[f"{name}_bias"] = matrix, bias
        return weights

    def _unfold(self, found: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        """Replace gradients in the maps of :meth:`_folded` by those in the parameters."""
        for gain, shift, name in self._norms:
            in_matrix, in_bias = found[name], found[f"{name}_bias"]
            if name.endswith("attend"):
                softening = self._softening(in_matrix)
                in_matrix, in_bias = in_matrix * softening, in_bias * softening
            found[gain] = (in_matrix * weights[name]).sum(2, keepdim=True)
            found[shift] = in_bias @ weights[name].mT
            found[name] = torch.addcmul(weights[shift].mT * in_bias, weights[gain].mT, in_matrix)

    def _softening(self, like: Tensor) -> Tensor:
        """Return 1 over the root of a head's units for the columns of queries, 1 for the others."""
        factors = like.new_ones(3, self.width)
        factors[0] = (self.heads / self.width) ** 0.5
        return factors.flatten()


def _affine(signal: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    # In place, which is faster than torch.baddbmm.
    return torch.bmm(signal, weights).add_(biases)


def _through_affine(
    name: str,
    cotangent: Tensor,
    received: Tensor,
    weights: dict[str, Tensor],
    found: dict[str, Tensor],
) -> Tensor:
    """Return the cotangent before a map, and put the gradients in the map and its bias down."""
    found[name] = torch.bmm(received.mT, cotangent)
    found[f"{name}_bias"] = cotangent.sum(1, keepdim=True)
    return torch.bmm(cotangent, weights[name].mT)


def _through_norm(cotangent: Tensor, normed: Tensor, inverse: Tensor) -> Tensor:
    """Return the cotangent before a layer norm, from its result and one over the deviation.

    Of ``y = (x - mean) / deviation``: the cotangent without its mean and without its part along y.
    """
    mean = cotangent.mean(-1, keepdim=True)
    along = (cotangent * normed).mean(-1, keepdim=True)
    return (cotangent - mean).addcmul_(normed, along, value=-1).mul_(inverse)
