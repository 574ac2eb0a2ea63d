"""Larger transformers that compute what smaller ones do: how their classes contain each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError
from theory_check.models.stacked_transformer import FACTOR, StackedTransformer


def deepened(
    shallow: StackedTransformer,
    deep: StackedTransformer,
    parameters: Float[Tensor, "replicate shallow"],
    fresh: Float[Tensor, "replicate deep"],
) -> Float[Tensor, "replicate deep"]:
    """Return networks with more layers that compute exactly what the shallow ones do.

    The new layers, behind the others, have maps from ``fresh`` and write nothing to what is summed over
    layers.

    Parameters
    ----------
    shallow, deep
        Networks that are equal but for their number of layers.
    parameters
        Those of the shallow networks.
    fresh
        Parameters of deep networks.

    Raises
    ------
    InvalidArgumentError
        If the second network does not contain the first in this way.
    """
    same = [
        (each.symbols, each.outputs, each.heads, each.width, each.layers <= deep.layers)
        for each in (shallow, deep)
    ]
    if same[0] != same[1]:
        raise _not_contained("deep", shallow, deep, "that differ in their layers only")
    old, grown = shallow.cut(parameters), deep.cut(fresh)
    for name in grown:
        silent = name.split(".")[-1] in ("mix", "mix_bias", "back", "back_bias")
        if name in old:
            grown[name] = old[name]
        elif silent:
            grown[name] = torch.zeros_like(grown[name])
    return _joined(grown)


def doubled(
    narrow: StackedTransformer,
    wide: StackedTransformer,
    parameters: Float[Tensor, "replicate narrow"],
    fresh: Float[Tensor, "replicate wide"],
) -> Float[Tensor, "replicate wide"]:
    """Return networks of twice the width that compute what the narrow ones do.

    Idle units would change what a layer norm divides by. Every unit has two copies instead, and what
    reads it reads a share of each, drawn from ``fresh`` so that the copies have gradients of their own.
    Scores of the attention have twice as many terms, and queries are divided by the root of 2. Hidden
    units of the perceptrons that are new have weights from ``fresh`` and write nothing.

    Parameters
    ----------
    narrow, wide
        Networks that are equal but for their width.
    parameters
        Those of the narrow networks.
    fresh
        Parameters of wide networks.

    Raises
    ------
    InvalidArgumentError
        If the second network does not contain the first in this way.
    """
    same = [(each.symbols, each.outputs, each.heads, each.layers) for each in (narrow, wide)]
    if same[0] != same[1] or wide.width != 2 * narrow.width:
        raise _not_contained("wide", narrow, wide, "of which the second has twice the width only")
    old, grown = narrow.cut(parameters), wide.cut(fresh)
    first = torch.sigmoid(grown["embedding"][:, :1, ::2])
    shares = torch.stack([first, 1 - first], dim=-1).flatten(2).mT
    hidden = FACTOR * narrow.width

    def read(matrix: Tensor) -> Tensor:
        """Return a map that reads copies of units."""
        return shares * matrix.repeat_interleave(2, 1)

    for name, value in old.items():
        kind = name.split(".")[-1]
        copied = value.repeat_interleave(2, 2)
        if kind == "attend":
            scores = copied.new_ones(3, wide.width)
            scores[0] = 0.5**0.5
            grown[name] = read(copied) * scores.flatten()
        elif kind == "mix":
            grown[name] = read(copied)
        elif kind in ("hidden", "hidden_bias"):
            kept = read(value) if kind == "hidden" else value
            grown[name] = torch.cat([kept, grown[name][:, :, hidden:]], dim=2)
        elif kind == "back":
            grown[name] = torch.cat([copied, torch.zeros_like(copied)], dim=1)
        elif kind == "output":
            grown[name] = read(value)
        else:
            grown[name] = value if kind == "output_bias" else copied
    return _joined(grown)


def _joined(blocks: dict[str, Tensor]) -> Float[Tensor, "replicate parameter"]:
    return torch.cat([block.flatten(1) for block in blocks.values()], dim=1)


def _not_contained(
    argument: str, small: StackedTransformer, large: StackedTransformer, remedy: str
) -> InvalidArgumentError:
    sizes = [f"{each.layers} layers of width {each.width}" for each in (large, small)]
    return InvalidArgumentError(argument, " for ".join(sizes), f"pass networks {remedy}")
