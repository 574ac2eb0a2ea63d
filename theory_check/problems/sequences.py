"""Texts written token by token behind a prompt, by a policy that stays near a pretrained model.

The smallest problem that is a language model's: states are prompts with a prefix, actions are tokens, and
the dynamics append. Rewards come at the end of a text, as those of preference learning do, or at every
token. The optimum is exact: ``pi* ∝ pi_ref exp(R / beta)`` over texts, by backward induction over the
tree of prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    is_setting,
    nearest,
    require_non_negative,
    require_positive_integer,
    require_scale,
    require_seed,
    require_table,
    shortened,
)
from theory_check.problems.misspecification import MisspecifiedFor, misspecified
from theory_check.problems.problem import Objective, Problem
from theory_check.problems.reference_models import reference_policy
from theory_check.problems.token_tree import TokenTree

WIDTH = 32
"""Hidden units of the random networks that features and a gold reward are, at least."""

ROWS = 2**16
"""Texts that go through a random network together."""

RANK_TOLERANCE = 1e-10
"""Share of a network outside the linear class below which it counts as inside."""


def sequences(
    *,
    prompts: int = 1,
    vocabulary: int = 2,
    length: int = 3,
    end: int | None = None,
    reference: Mapping[str, Any] | str = "markov",
    kl_weight: float = 1.0,
    objective: Objective = "cross_entropy",
    features: int | None = 4,
    per_token: bool = False,
    reward_scale: float = 1.0,
    gold: Mapping[str, Any] | None = None,
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    seed: int = 0,
) -> Problem:
    """Draw a problem of texts behind prompts.

    Prompts are equally likely. *Features* are a random network of prompt and tokens, nonzero at the last
    token of a text only. *True reward*: in their span, with a standard deviation of ``reward_scale`` over
    all texts, each counted once; a gold reward adds what the features do not contain.

    Parameters
    ----------
    prompts
        Number of prompts C.
    vocabulary
        Number of tokens V, at least 2.
    length
        Tokens of a text at most, H: the problem has ``C (1 + V + ... + V^(H-1))`` states, with an end
        token those of one token less, and one for each step at which a text may be over.
    end
        The token behind which nothing is written; None where every text has ``length`` tokens.
    reference
        The pretrained model that is the reference policy: the name of a kind, or a table with ``name``,
        its settings and a ``seed`` of its own. ``"markov"`` takes ``order``, 1 for bigrams, and
        ``temperature``; ``"transformer"``, of random weights, ``layers, heads, width`` and ``scale``.
    kl_weight
        ``beta`` > 0.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    features
        Dimension of the reward features; None gives the tabular class of all prefixes and tokens.
    per_token
        Whether every token has features and a reward, each of its prefix, instead of the last one only.
    reward_scale
        Standard deviation of the return over texts, from the span of the features.
    gold
        A reward from outside the linear class: a table with ``size``, the root mean square over texts of
        the part of a random network that no linear reward has, and its ``width`` (64) and ``seed``.
    misspecification, misspecified_for
        As in :func:`theory_check.problems.tabular`, over prefixes and tokens.
    seed
        Seed of features and reward; it does not affect the reference model or any solver's randomness.

    Notes
    -----
    Observations are indicators of the prompt, of the last two tokens, and of the position.

    Raises
    ------
    InvalidArgumentError
        Before any work, naming the argument; also for a tree of more than 2^19 prefixes and tokens.

    Examples
    --------
    >>> problem = sequences(prompts=2, vocabulary=2, length=2)
    """
    tree = TokenTree(prompts, vocabulary, length, end)
    require_scale("kl_weight", kl_weight)
    require_scale("reward_scale", reward_scale)
    require_non_negative("misspecification", misspecification)
    require_seed("seed", seed)
    if not isinstance(per_token, bool):
        raise InvalidArgumentError("per_token", shortened(per_token), "pass True or False")
    pairs = tree.states * vocabulary
    if features is None:
        require_table("features", features, pairs**2, "; or a number of features")
    else:
        require_positive_integer("features", features)
        require_table("features", features, pairs * features)
    seen = tree.prompts + 2 * tree.vocabulary + tree.length + 1
    require_table("vocabulary", vocabulary, tree.states * seen)
    _require_gold(gold)
    policy = reference_policy(tree, reference)

    table, reward = _drawn(tree, features, per_token, float(reward_scale), seed)
    if gold is not None:
        reward = reward + _gold(tree, table, **{"seed": seed, **gold})
    observations = tree.observations()
    initial = torch.zeros(tree.states, dtype=torch.float64)
    initial[:prompts] = 1 / prompts
    return Problem(
        transitions=tree.kernel,
        initial=initial,
        features=table,
        observations=observations,
        true_reward=misspecified(
            reward,
            features=table,
            observations=observations,
            size=misspecification,
            misspecified_for=misspecified_for,
            seed=seed,
            present=tree.mask,
        ),
        horizon=length,
        discount=1.0,
        kl_weight=float(kl_weight),
        objective=objective,
        reference_policy=policy,
        action_mask=tree.mask,
        state_names=tree.state_names,
        action_names=tree.token_names,
        layers=tree.layers,
        prefixes=tree.prefixes,
        name=f"sequences({prompts} x {vocabulary}^{length}, seed {seed})",
    )


def _drawn(
    tree: TokenTree, features: int | None, per_token: bool, scale: float, seed: int
) -> tuple[Float[Tensor, "s a d"], Float[Tensor, "s a"]]:
    """Return features, and a reward in their span whose returns have a standard deviation."""
    generator = np.random.default_rng([seed, *b"sequences"])
    shape = (tree.states, tree.vocabulary)
    rewarded = tree.written[:, None].expand(shape) if per_token else tree.finishing
    if features is None:
        table = torch.eye(tree.states * tree.vocabulary, dtype=torch.float64).reshape(*shape, -1)
        drawn = torch.from_numpy(generator.standard_normal(shape))
        reward = torch.where(rewarded, drawn, 0.0)
        return table, reward * (scale / _spread(tree, reward))
    table = torch.zeros(*shape, features, dtype=torch.float64)
    outputs = _random_network(tree, rewarded, max(WIDTH, 2 * features), features, generator)
    table[rewarded] = outputs / (tree.length**0.5 if per_token else 1.0)
    direction = torch.from_numpy(generator.standard_normal(features))
    direction = direction * (scale / _spread(tree, table @ direction))
    return table, table @ direction


def _spread(tree: TokenTree, reward: Float[Tensor, "s a"]) -> float:
    """Return the standard deviation of returns over texts."""
    return float(tree.along(reward)[tree.finishing].std(correction=0))


def _random_network(
    tree: TokenTree,
    rows: Tensor,
    width: int,
    outputs: int,
    generator: np.random.Generator,
) -> Float[Tensor, "row output"]:
    """Return a random network of prompt and tokens, the next one included, standardised over ``rows``."""
    symbols = tree.vocabulary + tree.prompts + 1
    layers = generator.standard_normal((tree.length + 1, symbols, width))
    embeddings = torch.from_numpy(layers / (tree.length + 1) ** 0.5)
    biases = torch.from_numpy(generator.standard_normal(width))
    readout = torch.from_numpy(generator.standard_normal((width, outputs)) / width**0.5)
    states, actions = rows.nonzero(as_tuple=True)
    texts = torch.cat([tree.symbols, torch.full((tree.states, 1), symbols - 1)], dim=1)[states]
    texts.scatter_(1, (tree.step[states] + 1)[:, None], actions[:, None])
    found = []
    for some in torch.split(texts, ROWS):
        before = biases.repeat(len(some), 1)
        for position in range(tree.length + 1):
            before += embeddings[position][some[:, position]]
        found.append(torch.tanh(before) @ readout)
    whole = torch.cat(found)
    centred = whole - whole.mean(0)
    return centred / centred.square().mean(0).sqrt()


def _gold(
    tree: TokenTree, features: Float[Tensor, "s a d"], *, size: float, width: int = 64, seed: int
) -> Float[Tensor, "s a"]:
    """Return the part of a random network that no linear reward has, at the last token of every text.

    Raises
    ------
    InvalidArgumentError
        Where the linear class has all of it.
    """
    generator = np.random.default_rng([seed, *b"gold"])
    network = _random_network(tree, tree.finishing, width, 1, generator)[:, 0]
    returns = tree.along(features)[tree.finishing]
    inside = torch.cat([returns, torch.ones_like(returns[:, :1])], dim=1)
    left, sizes, _ = torch.linalg.svd(inside, full_matrices=False)
    basis = left[:, sizes > RANK_TOLERANCE * sizes.max()]
    outside = network
    for _ in range(2):  # the second projection removes what rounding left of the first
        outside = outside - basis @ (basis.T @ outside)
    root_mean_square = float(outside.square().mean().sqrt())
    if not root_mean_square > RANK_TOLERANCE:
        raise InvalidArgumentError(
            "gold",
            f"size {size}, but linear rewards give every text a return of its own",
            "pass fewer features than there are texts",
        )
    reward = torch.zeros_like(features[..., 0])
    reward[tree.finishing] = outside * (size / root_mean_square)
    return reward


def _require_gold(gold: object) -> None:
    """Refuse tables without a size, with settings that are unknown, or of other numbers."""
    if gold is None:
        return
    known = ("size", "width", "seed")
    if not isinstance(gold, Mapping) or "size" not in gold:
        raise InvalidArgumentError(
            "gold", shortened(gold), 'pass a table with a size, such as {"size": 0.5}, or None'
        )
    for key in gold:
        if key not in known:
            raise InvalidArgumentError(f"gold.{key}", "a setting", nearest(str(key), known))
    if not is_setting(gold["size"]) or not gold["size"] > 0:
        raise InvalidArgumentError("gold.size", shortened(gold["size"]), "pass a number above 0")
    require_scale("gold.size", gold["size"])
    require_positive_integer("gold.width", gold.get("width", 64))
    require_seed("gold.seed", gold.get("seed", 0))
