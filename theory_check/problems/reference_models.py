"""Pretrained models in miniature: reference policies over texts, drawn once from a seed of their own.

A kind of model is a function of a :class:`~theory_check.problems.token_tree.TokenTree` and settings of
its own; it returns logits of the next token behind every prefix. A further kind is one function more in
``MODELS``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    nearest,
    require_choice,
    require_positive_integer,
    require_scale,
    require_seed,
    require_table,
    shortened,
)
from theory_check.models.base import log_policy_of
from theory_check.models.transformer_policy import random_log_policy
from theory_check.problems.token_tree import TokenTree


def markov(
    tree: TokenTree, *, order: int = 1, temperature: float = 1.0, seed: int = 0
) -> Float[Tensor, "s a"]:
    """Return logits that depend on the last symbols: a bigram or trigram model, or a longer one.

    A prompt is a symbol before the first token. Logits are standard normal over the temperature.

    Parameters
    ----------
    tree
        The texts.
    order
        How many symbols, at least 1: 1 is the bigram, 2 the trigram.
    temperature
        Above 0; the larger, the nearer to uniform.
    seed
        Seed of the model.
    """
    require_positive_integer("reference.order", order)
    require_scale("reference.temperature", temperature)
    require_seed("reference.seed", seed)
    symbols = tree.vocabulary + tree.prompts + 1
    require_table("reference.order", order, symbols ** min(order, 64) * tree.vocabulary)
    generator = np.random.default_rng([seed, *b"markov"])
    drawn = generator.standard_normal((symbols**order, tree.vocabulary)) / temperature
    context = torch.zeros(tree.states, dtype=torch.int64)
    for back in range(1, order + 1):
        context = context * symbols + tree.latest(back)
    return torch.from_numpy(drawn)[context]


def transformer(
    tree: TokenTree,
    *,
    layers: int = 1,
    heads: int = 2,
    width: int = 16,
    scale: float = 1.0,
    seed: int = 0,
) -> Float[Tensor, "s a"]:
    """Return logits of a transformer with random weights, which depend on all that is written.

    Parameters
    ----------
    tree
        The texts.
    layers, heads, width
        As in :class:`~theory_check.models.TransformerPolicy`.
    scale
        Standard deviation of the logits over weights of the output layer.
    seed
        Seed of the weights.
    """
    for setting, value in (("layers", layers), ("heads", heads), ("width", width)):
        require_positive_integer(f"reference.{setting}", value)
    require_scale("reference.scale", scale)
    require_seed("reference.seed", seed)
    try:
        found = random_log_policy(tree.prefixes, layers, heads, width, scale, seed)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"reference.{error.argument}", error.received, error.remedy
        ) from error
    return found[0]


MODELS: dict[str, Callable[..., Float[Tensor, "s a"]]] = {
    "markov": markov,
    "transformer": transformer,
}
"""Kinds of reference models by their names in experiment files."""


def reference_policy(tree: TokenTree, reference: Mapping[str, Any] | str) -> Float[Tensor, "1 s a"]:
    """Return the probabilities of the next token behind every prefix.

    Parameters
    ----------
    tree
        The texts.
    reference
        The name of a kind, or a table with ``name`` and settings of it.

    Raises
    ------
    InvalidArgumentError
        For unknown kinds and settings, and a token of a probability that is no longer positive.
    """
    table = {"name": reference} if isinstance(reference, str) else reference
    if not isinstance(table, Mapping):
        raise InvalidArgumentError(
            "reference",
            shortened(reference),
            f"pass a name, {' or '.join(MODELS)}, or a table with one",
        )
    settings = dict(table)
    name = settings.pop("name", None)
    require_choice("reference", name, tuple(MODELS))
    model = MODELS[name]
    known = [key for key in inspect.signature(model).parameters if key != "tree"]
    for key in settings:
        if key not in known:
            argument, remedy = f"reference.{key}", nearest(str(key), known)
            raise InvalidArgumentError(argument, f"a setting of {name!r}", remedy)
    absent = None if tree.mask is None else ~tree.mask[None]
    policy = log_policy_of(model(tree, **settings)[None], absent).exp()
    present = policy if absent is None else policy.masked_fill(absent, 1.0)
    if not bool((present > 0).all()):
        raise InvalidArgumentError(
            "reference",
            f"{shortened(reference)}, which gives a token a probability of 0",
            "draw a model nearer to uniform, such as one of a larger temperature",
        )
    return policy
